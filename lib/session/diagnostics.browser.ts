// What takes the place of `diagnostics.ts` in a page, where there are no channels: nobody wants to know.
import type { CallObserver as InNode } from './diagnostics.js'

const NOBODY = { hasSubscribers: false, publish(): void {} }

export { NOBODY as closings, NOBODY as interruptions, NOBODY as resumptions, NOBODY as sessions }

export class Witness implements Pick<InNode, keyof InNode> {
  readonly enabled = false
  onCall(): void {}
  onReply(): void {}
  end(): void {}
}
