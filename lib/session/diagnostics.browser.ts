// The variant of `diagnostics.ts` for pages, which have no `diagnostics_channel`.
import type { CallObserver as NodeCallObserver } from './diagnostics.js'

const NO_SUBSCRIBERS = { hasSubscribers: false, publish(): void {} }

export {
  NO_SUBSCRIBERS as closedChannel,
  NO_SUBSCRIBERS as interruptedChannel,
  NO_SUBSCRIBERS as resumedChannel,
  NO_SUBSCRIBERS as sessionChannel
}

export class CallObserver implements Pick<NodeCallObserver, keyof NodeCallObserver> {
  readonly enabled = false
  onCall(): void {}
  onReply(): void {}
  end(): void {}
}
