// The service for a tab: it counts the lines of the tab's file, and connects it to the other tabs.
import type { Netref, Session } from 'netref'
import { LineCounter } from '../line-counter/line-counter.js'

/** Callbacks that a tab passes. */
export interface Visitor {
  /** The other tabs, each with its callbacks, which may be called at any time. */
  others(tabs: { name: string; visitor: Netref<Visitor> }[]): void
  /** Called when another tab waves. */
  waved(from: string): void
}

const tabs = new Map<Tab, { readonly name: string; readonly visitor: Netref<Visitor> }>()

/** Sends each tab the names of the others. Results are not awaited: a disconnected tab is removed elsewhere. */
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
