// What carries the calls of this side to a JSON-RPC server, and the reading of its answers.

import { NetrefError } from '../../errors.js'
import { type JsonRpcError, remoteError } from './remote-error.js'

/** A call of a JSON-RPC server. */
export interface OutgoingCall {
  readonly method: string
  /** The parameters by position, as JSON. */
  readonly params: string
  readonly isNotification: boolean
  /** Aborts if the caller gives up. */
  readonly signal: AbortSignal | undefined
}

export interface Channel {
  /**
   * Sends a call; without `await`, so that calls leave in order.
   *
   * @returns the result; undefined for a notification
   */
  send(call: OutgoingCall): Promise<unknown>
  /** Pending calls reject or stay unanswered. */
  close(): void
}

/** The text of a call. Servers of all versions understand it. */
export function callText({ method, params, isNotification }: OutgoingCall, id: number): string {
  const idMember = isNotification ? '' : `,"id":${id}`
  return `{"jsonrpc":"2.0","method":${JSON.stringify(method)},"params":${params}${idMember}}`
}

/** The result in an answer. @throws JsonRpcError for an answer with an error, NetrefError for anything else */
export function resultOf(answer: unknown): unknown {
  const error = errorOf(answer)
  if (error) throw error
  if (isObject(answer) && 'result' in answer) return answer.result
  throw new NetrefError('protocol', 'the answer is not of JSON-RPC: it has neither a `result` nor an `error`')
}

/** The error in an answer; undefined if there is none. */
export function errorOf(answer: unknown): JsonRpcError | undefined {
  const error = isObject(answer) && 'error' in answer ? answer.error : undefined
  return (error ?? null) === null ? undefined : remoteError(error)
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null
