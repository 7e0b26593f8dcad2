// Records messages on the wire, and runs the garbage collector.
import { setImmediate as turn } from 'node:timers/promises'
import type { Pair } from '../../lib/index.js'
import { parseFrame } from '../../lib/protocol/frame.js'
import { waitUntil } from './helpers.js'

declare const gc: () => void

/** A proxy in specs that test behaviour, not types. */
// biome-ignore lint/suspicious/noExplicitAny: that is its meaning
export type Untyped = any

/** A message on the wire: operation, number, target… */
export type WireMessage = readonly unknown[]

const NO_LIMITS = { jsonBytes: 1 << 30, frameBytes: 1 << 30, depth: 1 << 10, values: 1 << 30 }

/** Records every message sent from now on, by the client and by the server. */
export function recordMessages({ transports }: Pair<Untyped>): [out: WireMessage[], back: WireMessage[]] {
  const [out, back] = transports.map(transport => {
    const log: WireMessage[] = []
    const send = transport.send.bind(transport)
    transport.send = (frame, sent) => {
      log.push(...(parseFrame(frame, NO_LIMITS).messages as WireMessage[]))
      send(frame, sent)
    }
    return log
  })
  return [out!, back!]
}

/** Runs several turns of the event loop, in which pending frames arrive. */
export async function runEventLoop(): Promise<void> {
  for (let i = 0; i < 5; i++) await turn()
}

/** Runs the garbage collector until `holds` returns true, or three times. */
export async function collectGarbage(holds?: () => boolean): Promise<void> {
  let rounds = 0
  await waitUntil(() => {
    gc()
    return holds ? holds() : ++rounds > 2
  })
  await runEventLoop()
}
