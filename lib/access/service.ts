// What a side offers: the base class of services, and how the root of a session is made of what `serve` was given.

import type { Reason } from '../errors.js'
import type { Session } from '../types/session.js'
import { className, describeValue } from '../util/describe.js'
import { foreignCopyMessage, sharedInRealm, thisCopyName } from '../util/library-copies.js'
import { isThenable } from '../util/promises.js'
import { prototypeChain } from '../util/realms.js'
import { declareRoot } from './expose.js'

/**
 * Base class of services given as a class: each session gets an instance of its own as its root. Its `exposed_*`
 * members, and those marked `@exposed`, are what the peer may use; the hooks below never are.
 *
 * @example
 * class Calculator extends Service {
 *   exposed_add(a: number, b: number) { return a + b }
 * }
 */
export abstract class Service {
  /** What the members of a class are for, by the names the peer uses: `Netref.describe` tells it. */
  static readonly help?: Readonly<Record<string, string>>
  /**
   * Called when a session has begun, before its first call. `session.root` is the peer's root. Where it is asynchronous,
   * calls of the root wait until it has settled, no longer than `limits.helloMs`.
   */
  onConnect?(session: Session): void | Promise<void>
  /** Called once when the session has ended. */
  onDisconnect?(session: Session, reason: Reason): void
}

/** The `Service` of each copy of netref, by its prototype: what tells the name of that copy. */
const packageNames = sharedInRealm('services/1', () => new WeakMap<object, () => string>())
packageNames.set(Service.prototype, thisCopyName)

/** Whether it is an instance of a service, of any copy of netref: its hooks are no members. */
export const isService = (object: object): boolean => packageNameGetterOf(object) !== undefined

function packageNameGetterOf(object: object): (() => string) | undefined {
  for (const prototype of prototypeChain(object)) {
    const name = packageNames.get(prototype)
    if (name) return name
  }
  return undefined
}

/** @throws TypeError for a service of another copy, which may be of another version: nobody would call its hooks */
function checkPackageCopy(service: object, type?: string): void {
  const name = service instanceof Service ? undefined : packageNameGetterOf(service)
  if (!name) return
  const subject = (type ?? className(service)) || 'the service'
  throw new TypeError(`${subject} extends the Service ${foreignCopyMessage(name())}`)
}

/** A class that extends Service, an object shared by all sessions, or a function that makes one for a session. */
export type ServiceSource<T extends object = object, Identity = unknown> =
  | (new () => T)
  | T
  | ((session: Session<object, Identity>) => T)

/** The root of all sessions, where it is known beforehand: it may be sent before the peer has said hello. */
export const sharedRootOf = (source: ServiceSource): object | undefined =>
  typeof source === 'object' ? source : undefined

/**
 * How to make the root of a session.
 *
 * @throws TypeError for a class that does not extend Service, or that of another copy of netref, and for what is no
 * object.
 */
export function rootFactoryOf<Identity>(
  source: ServiceSource<object, Identity>
): (session: Session) => object {
  if (typeof source === 'object' && source !== null && !isThenable(source)) {
    checkPackageCopy(source)
    declareRoot(source)
    return () => source
  }
  if (typeof source !== 'function') {
    throw new TypeError(`a service is a class, an object or a function, not ${describeValue(source)}`)
  }
  if (source.prototype instanceof Service) return () => declareRoot(new (source as new () => object)())
  if (source.prototype) checkPackageCopy(source.prototype, source.name)
  if (/^class\b/.test(Function.prototype.toString.call(source))) {
    throw new TypeError(
      `${source.name || 'the class'} does not extend Service: extend it, or serve \`() => new ${source.name || 'It'}()\``
    )
  }
  return session => {
    const root: unknown = (source as (session: Session) => unknown)(session)
    if (isThenable(root)) root.then(undefined, () => {})
    else if ((typeof root === 'object' && root !== null) || typeof root === 'function') {
      checkPackageCopy(root)
      return declareRoot(root)
    }
    throw new TypeError(`a service function must return an object, and at once, not ${describeValue(root)}`)
  }
}
