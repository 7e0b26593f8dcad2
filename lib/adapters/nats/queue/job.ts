// The form of a job in the stream: its arguments as bytes, and headers with its id and the path of its method.
import type { MsgHdrs } from '@nats-io/transport-node'
import { decodeBytes } from '../../../codec/data-bytes.js'
import { NetrefError } from '../../../errors.js'
import type { Limits } from '../../../index.js'
import { loadTransport } from '../packages.js'

/** The header with the path of the method, as JSON. */
export const PATH_HEADER = 'Netref-Path'
/** NATS's own header with the id of a message. */
export const ID_HEADER = 'Nats-Msg-Id'
/** Bytes of a message that stay free for its headers, also for those of a dead letter. */
export const HEADER_BYTES = 8192

/** The id of the job of an idempotency key: equal for equal keys, and printable, as headers are. Half a surrogate pair has no code. */
export const toJobId = (key: string): string =>
  Buffer.from(key)
    .toString()
    .replace(/[^!-$&-~]/gu, encodeURIComponent)

/** The idempotency key of a job. */
export function keyOfJob(id: string): string {
  try {
    return decodeURIComponent(id)
  } catch {
    return id
  }
}

/** @param path of the method, as JSON */
export function createHeaders(id: string, path: string): MsgHdrs {
  const headers = loadTransport('bus.queue').headers()
  headers.set(ID_HEADER, id)
  headers.set(PATH_HEADER, path)
  return headers
}

/** What is called. */
export interface JobCall {
  readonly path: readonly string[]
  readonly args: readonly unknown[]
}

/** @throws NetrefError `unreadable` for bytes and headers that are no job, and LimitError */
export function readCall(headers: MsgHdrs | undefined, bytes: Uint8Array, limits?: Limits): JobCall {
  const path = parsePath(headers?.get(PATH_HEADER))
  const args = decodeBytes('the job', bytes, limits)
  if (path && Array.isArray(args)) return { path, args }
  throw new NetrefError('unreadable', 'the job: a message that no queue of netref has stored')
}

function parsePath(text: string | undefined): string[] | undefined {
  try {
    const path: unknown = JSON.parse(text!)
    return Array.isArray(path) && path.every(name => typeof name === 'string') ? path : undefined
  } catch {
    return undefined
  }
}
