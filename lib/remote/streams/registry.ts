// The support for streams, which `register.ts` adds. Without it, sessions neither send nor receive streams.
import type { StreamChannel } from '../../protocol/channel.js'
import type { ReportError } from '../../util/emitter.js'
import type { Reference, Requester } from '../proxy.js'
import type { SessionStreams, StreamPort } from './types.js'

export interface StreamSupport {
  /** Creates the streams of a session. */
  createTable(
    channel: StreamChannel,
    references: StreamPort['references'],
    session: Requester,
    report: ReportError,
    maxBufferedBytes: number
  ): SessionStreams
  /** The reference behind an iterator, promise or signal of the peer; undefined for a local one. */
  referenceOf(object: object): Reference | undefined
}

let registered: StreamSupport | undefined

/** Sessions that begin from now on have streams. */
export function registerStreams(support: StreamSupport): void {
  registered = support
}

/** Undefined while no module of this program has imported the streams. */
export const streamSupport = (): StreamSupport | undefined => registered

export const streamReferenceOf = (object: object): Reference | undefined => registered?.referenceOf(object)
