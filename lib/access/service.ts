// The base class of services, and the creation of a session's root from the source that `serve` was given.

import type { Reason } from '../errors.js'
import type { Session } from '../types/session.js'
import { className, describeValue } from '../util/describe.js'
import { foreignCopyMessage, sharedInRealm, thisCopyName } from '../util/library-copies.js'
import { isThenable } from '../util/promises.js'
import { prototypeChain } from '../util/realms.js'
import { declareRoot } from './expose.js'
import { classChecks } from './exposed-members.js'

/**
 * Base class of services that are served as a class. The root of each session is an instance of its own. The peer may
 * use the members that the class exposes: by `exposes`, by `@exposed` or with the prefix `exposed_`. The peer may never
 * use the hooks below.
 *
 * @example
 * class Calculator extends Service {
 *   static { exposes(Calculator, { add: true }) }
 *   add(a: number, b: number) { return a + b }
 * }
 */
export abstract class Service {
  /** Help texts of the members, by the names that the peer uses. `Netref.describe` returns them. */
  static readonly help?: Readonly<Record<string, string>>
  /**
   * Called when a session has started, before its first call. `session.root` is the peer's root. If it returns a
   * promise, calls of the root wait until the promise has settled, at most `limits.helloMs` milliseconds.
   */
  onConnect?(session: Session): void | Promise<void>
  /**
   * Called before this side ends the session: by `session.close()`, `conn.close()` or `server.close()`. It may still call
   * the peer. If it returns a promise, the session ends when the promise has settled, at most `limits.helloMs` milliseconds
   * later. It is not called if the peer or a lost connection ends the session, while the session is interrupted, or
   * for the code `revoked`. It must not await the closing.
   */
  onClosing?(session: Session): void | Promise<void>
  /** Called once when the session has ended. */
  onDisconnect?(session: Session, reason: Reason): void
}

/** Functions that return the name of a copy of netref, by the prototype of that copy's `Service`. */
const packageNames = sharedInRealm('services/1', () => new WeakMap<object, () => string>())
packageNames.set(Service.prototype, thisCopyName)

/** Whether an object is an instance of the `Service` of any copy of netref. Its hooks are not members. */
export const isService = (object: object): boolean => packageNameGetterOf(object) !== undefined

function packageNameGetterOf(object: object): (() => string) | undefined {
  for (const prototype of prototypeChain(object)) {
    const name = packageNames.get(prototype)
    if (name) return name
  }
  return undefined
}

/** @throws TypeError for a service of another copy, which may be of another version: its hooks would not be called */
function checkPackageCopy(call: string, service: object, type?: string): void {
  const name = service instanceof Service ? undefined : packageNameGetterOf(service)
  if (!name) return
  const subject = (type ?? className(service)) || 'the service'
  throw new TypeError(`${call}: ${subject} extends the Service ${foreignCopyMessage(name())}`)
}

/** A class that extends Service, an object that all sessions share, or a function that creates one for a session. */
export type ServiceSource<T extends object = object, Identity = unknown> =
  | (new () => T)
  | T
  | ((session: Session<object, Identity>) => T)

/** The root of all sessions, if it is known beforehand. It may be sent before the peer's hello message arrives. */
export const sharedRootOf = (source: ServiceSource): object | undefined =>
  typeof source === 'object' ? source : undefined

/**
 * Returns a function that creates the root of a session.
 *
 * @param call the function that takes the source, for error texts
 * @throws TypeError for a class that does not extend Service or extends that of another copy of netref
 * @throws TypeError for a value that is not an object, a class or a function
 */
export function rootFactoryOf<Identity>(
  source: ServiceSource<object, Identity>,
  call: string
): (session: Session) => object {
  if (typeof source === 'object' && source !== null && !isThenable(source)) {
    checkPackageCopy(call, source)
    declareRoot(source)
    return () => source
  }
  if (typeof source !== 'function') {
    throw new TypeError(
      `${call}: a service must be a class, an object or a function, not ${describeValue(source)}`
    )
  }
  if (source.prototype instanceof Service) {
    classChecks()?.checkClasses(source.prototype)
    return () => declareRoot(new (source as new () => object)())
  }
  if (source.prototype) checkPackageCopy(call, source.prototype, source.name)
  if (/^class\b/.test(Function.prototype.toString.call(source))) {
    throw new TypeError(
      `${call}: ${source.name || 'the class'} does not extend Service: extend it, or serve \`() => new ${source.name || 'It'}()\``
    )
  }
  return session => {
    const root: unknown = (source as (session: Session) => unknown)(session)
    if (isThenable(root)) root.then(undefined, () => {})
    else if ((typeof root === 'object' && root !== null) || typeof root === 'function') {
      checkPackageCopy(call, root)
      return declareRoot(root)
    }
    throw new TypeError(
      `${call}: a service function must return an object synchronously, not ${describeValue(root)}`
    )
  }
}
