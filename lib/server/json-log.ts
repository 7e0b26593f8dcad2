// Logs what happens at a server, one line of JSON for each event.
import type { CallErrorContext } from '../session/call-errors.js'
import { describeValue, safeString } from '../util/describe.js'
import type { Unsubscribe } from '../util/shared-listener.js'
import { requireServer, type Server } from './serve.js'

type Level = 'info' | 'warn' | 'error'

/**
 * A log of a server as lines of JSON: `{ time, level, event, … }`. Arguments of calls are never in it.
 *
 * @example
 * const log = new JsonLog()
 * const server = await serve(Shop, { ...log.hooks })
 * log.follow(server)
 */
export class JsonLog {
  /** Options of `serve` that log the errors of handlers, and the failures that no code awaits. */
  readonly hooks = {
    /** Logs `call-failed`, with the name of the operation. */
    onCallError: (error: unknown, { call }: CallErrorContext): void =>
      this.#log('error', 'call-failed', { call, error: describeError(error) }),
    /** Logs `failure`. */
    onError: (error: unknown): void => this.#log('error', 'failure', { error: describeError(error) })
  }

  /**
   * @param write takes a line without a newline; by default it writes the line to the standard error
   * @throws TypeError if `write` is not a function
   */
  constructor(
    private readonly write: (line: string) => void = line => void process.stderr.write(`${line}\n`)
  ) {
    if (typeof write !== 'function')
      throw new TypeError(`JsonLog: ${describeValue(write)} is not a function; pass one that takes a line`)
  }

  /**
   * Logs the sessions of a server, the clients that it refuses, and its end.
   *
   * @returns a function that stops
   * @throws TypeError for a value that is not a server
   */
  follow(server: Server): Unsubscribe {
    requireServer('JsonLog.follow', server)
    let isFollowing = true
    const stops = [
      server.on('session', session => {
        // An error of `write` in a listener goes to `onError`; in a promise it would end the process.
        session.on('closed', ({ code, message }) => {
          if (isFollowing) this.#log('info', 'session-ended', { code, message })
        })
        this.#log('info', 'session-started', { sessions: server.sessions.size })
      }),
      server.on('refused', ({ cause, ...refusal }) =>
        this.#log('warn', 'client-refused', { ...refusal, cause: cause && describeError(cause) })
      ),
      server.on('closed', () => this.#log('info', 'server-closed', {}))
    ]
    return () => {
      isFollowing = false
      for (const stop of stops) stop()
    }
  }

  #log(level: Level, event: string, details: object): void {
    this.write(JSON.stringify({ time: new Date().toISOString(), level, event, ...details }))
  }
}

function describeError(error: unknown): object {
  if (!(error instanceof Error)) return { message: safeString(error) }
  const { name, message, stack } = error
  const { code } = error as { code?: unknown }
  return { name: safeString(name), message: safeString(message), code: textOf(code), stack: textOf(stack) }
}

const textOf = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)
