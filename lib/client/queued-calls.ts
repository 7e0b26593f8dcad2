// Runs calls that no peer waits for, such as the jobs of a queue, on a service. All rules for the calls of a peer hold.

import type { ExposureOptions } from '../access/access-control.js'
import { type CallScope, runInCall } from '../access/call-context.js'
import { rejectionKind } from '../access/hook-result.js'
import type { Before } from '../access/peer-call.js'
import { rootFactoryOf, type ServiceSource } from '../access/service.js'
import { type Reason, SessionEndedError } from '../errors.js'
import type { Limits } from '../protocol/limits.js'
import { Op } from '../protocol/messages.js'
import type { MemberName } from '../protocol/path.js'
import { COMMON_OPTIONS, type CommonOptions, settingsOf } from '../session/options.js'
import { SessionImpl } from '../session/session.js'
import { MemoryTransport } from '../transport/memory.js'
import type { OptionTypes } from '../util/check-options.js'
import { safeString } from '../util/describe.js'
import { Connection, EmptyService } from './connect.js'

/** Options of queued calls: those of a serving side that has no peer. */
export interface QueuedCallOptions
  extends Omit<ExposureOptions, 'describe'>,
    Before,
    Pick<CommonOptions, 'limits' | 'onError' | 'onCallError'> {}

const { timeout, trace, exposeStacks, describe, ...OPTIONS } = COMMON_OPTIONS
/** For the option tables of their users. */
export const QUEUED_CALL_OPTIONS: OptionTypes<QueuedCallOptions> = OPTIONS

/** What has become of a call: its method has settled, or did not run. */
export type QueuedOutcome =
  | { readonly kind: 'done' }
  | { readonly kind: 'failed'; readonly error: unknown }
  | { readonly kind: 'rejected'; readonly code: string; readonly message: string }

/** A call that runs. */
export interface QueuedCall {
  /** It never rejects. */
  readonly outcome: Promise<QueuedOutcome>
  /** Aborts `callSignal()`. */
  abort(reason: unknown): void
}

/** The number of the only call of a scope. */
const CALL_ID = 1

class QueuedCallScope implements CallScope {
  readonly weakRef: WeakRef<CallScope> = new WeakRef(this)
  readonly aborter = new AbortController()
  hasEnded = false

  constructor(readonly session: SessionImpl) {}

  signalOf(): AbortSignal {
    return this.aborter.signal
  }

  isSettled(): boolean {
    return this.hasEnded
  }
}

/**
 * A session in this process that serves `source`. Its peer is nobody: it has no identity and makes no calls. If it ends,
 * the next call opens another one.
 */
export class QueuedCalls {
  /** Limits on the arguments. Their user applies them. */
  readonly limits: Limits
  readonly #createRoot: ReturnType<typeof rootFactoryOf>
  readonly #running = new Set<QueuedCallScope>()
  #opened: Promise<{ readonly session: SessionImpl; readonly root: object }> | undefined
  #connection: Connection<object> | undefined
  #isClosed = false

  /**
   * @param call the function that takes the options, for error texts
   * @throws TypeError for a value that is no service, and for invalid options
   */
  constructor(
    source: ServiceSource,
    private readonly options: QueuedCallOptions,
    private readonly call: string
  ) {
    this.#createRoot = rootFactoryOf(source, call)
    this.limits = settingsOf(options, call).limits
  }

  /** Creates the service, and waits for its `onConnect`. @throws SessionEndedError if that fails */
  async open(): Promise<void> {
    await this.#served()
  }

  async #served() {
    if (this.#isClosed)
      throw new SessionEndedError({ code: 'closed', message: 'close() was called' }, this.call)
    return (this.#opened ??= this.#open())
  }

  async #open() {
    const transports = MemoryTransport.pair()
    let root: object | undefined
    const session = new SessionImpl(transports[1], {
      isInitiator: false,
      createRoot: session => (root = this.#createRoot(session)),
      ...settingsOf(this.options, this.call)
    })
    void session.closed.then(reason => this.#onClosed(reason))
    const opened = new Promise<void>(resolve => session.on('state', () => resolve()))
    session.start()
    this.#connection = new Connection<object>(transports[0], {
      createRoot: () => new EmptyService(),
      ...settingsOf({}, this.call)
    })
    await opened
    if (session.state !== 'open') throw new SessionEndedError(await session.closed, this.call)
    const { deferred } = session.callee
    const ready =
      deferred.isServiceReady || new Promise<void>(resolve => deferred.addUntilServiceReady(0, resolve))
    const ended = session.closed.then(reason => {
      throw new SessionEndedError(reason, this.call)
    })
    await Promise.race([ready, ended])
    return { session, root: root! }
  }

  #onClosed(reason: Reason): void {
    this.#opened = undefined
    for (const { aborter } of this.#running) aborter.abort(new SessionEndedError(reason))
  }

  /**
   * Starts a call. One that may have run before runs only if its method is idempotent.
   *
   * @throws SessionEndedError if the service cannot be created; nothing has run
   */
  async start(
    path: readonly MemberName[],
    args: readonly unknown[],
    mayHaveRun: boolean
  ): Promise<QueuedCall> {
    const { session, root } = await this.#served()
    const scope = new QueuedCallScope(session)
    this.#running.add(scope)
    const { callee } = session
    const target = { isRoot: true, byReference: true, cancellable: true, retry: mayHaveRun }
    const run = async (): Promise<QueuedOutcome> => {
      try {
        await runInCall(
          scope,
          CALL_ID,
          () => callee.operate(Op.call, root, path, args, callee.exposure, target).value
        )
        return { kind: 'done' }
      } catch (error) {
        const rejection = rejectionKind(error)
        if (rejection !== undefined) return { kind: 'rejected', ...describeRejection(rejection, error) }
        const name = { op: Op.call, target: 'root', targetId: 0, path: path.map(String) } as const
        return { kind: 'failed', error: callee.errors.replace(error, name) }
      }
    }
    const outcome = run()
    void outcome.then(() => {
      scope.hasEnded = true
      this.#running.delete(scope)
    })
    return { outcome, abort: reason => scope.aborter.abort(reason) }
  }

  /** Ends the session: the signals of calls that run abort, and `onDisconnect` of the service is called. */
  async close(): Promise<void> {
    this.#isClosed = true
    const opened = this.#opened
    await this.#connection?.close()
    await opened?.catch(() => undefined)
  }
}

/** The code of an error that `before` threw is its own, if it has one. */
function describeRejection(kind: string, error: unknown): { code: string; message: string } {
  const { code, message } = Object(error) as { code?: unknown; message?: unknown }
  return {
    code: kind !== 'before' ? kind : typeof code === 'string' ? code : 'refused',
    message: typeof message === 'string' ? message : safeString(error)
  }
}
