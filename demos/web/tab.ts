// What the server offers a tab: to count the lines of its file, and to meet the other tabs.
import type { Netref, Session } from 'netref'
import { LineCounter } from '../line-counter/line-counter.js'

/** What a tab hands over of itself. */
export interface Visitor {
  /** The other tabs, each with its own visitor, to be called at any time. */
  others(tabs: { name: string; visitor: Netref<Visitor> }[]): void
  /** Somebody waves. */
  waved(from: string): void
}

const tabs = new Map<Tab, { readonly name: string; readonly visitor: Netref<Visitor> }>()

/** Tells each tab who the others are. What comes of it, nobody waits for: a tab that is gone leaves by itself. */
function introduce(): void {
  for (const [tab, { visitor }] of tabs) {
    const others = [...tabs].filter(([other]) => other !== tab).map(([, entry]) => entry)
    visitor.others(others).catch(() => {})
  }
}

export class Tab extends LineCounter {
  exposed_join(name: string, visitor: Netref<Visitor>) {
    tabs.set(this, { name, visitor })
    introduce()
  }
  override onDisconnect(_session: Session) {
    if (tabs.delete(this)) introduce()
  }
}
