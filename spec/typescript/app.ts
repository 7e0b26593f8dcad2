// A program that uses netref's types. `main.ts` compiles it under each version of TypeScript.

import type { Connection, Pending, Session, StandardSchema } from 'netref'
import {
  connect,
  expose,
  exposed,
  exposes,
  Netref,
  pair,
  registerError,
  registerType,
  Service,
  serve
} from 'netref'
import { connect as connectInPage } from 'netref/browser'
import { connect as connectLite } from 'netref/lite'
import { type Health, healthOf, JsonLog, metricsText } from 'netref/operate'
import { useConnection, useConnectionState, useRemote } from 'netref/react'
import 'netref/streams'

declare const numbers: StandardSchema<[number, number]>

class Money {
  constructor(readonly cents: number) {}
  plus(other: Money) {
    return new Money(this.cents + other.cents)
  }
}
registerType(Money, { name: 'Money', encode: money => money.cents, decode: cents => new Money(cents) })
declare module 'netref' {
  interface Registered {
    money: Money
  }
}
class OutOfStock extends Error {}
registerError(OutOfStock, { name: 'OutOfStock' })
// @ts-expect-error the name is required
registerError(OutOfStock)

class Calculator extends Service {
  static {
    exposes(Calculator, {
      add: { schema: numbers, idempotent: true, if: session => session.identity === 'ada' },
      each: true,
      numbers: true,
      price: true,
      fail: true
    })
  }
  add(a: number, b: number) {
    return a + b
  }
  async each(items: number[], use: Netref<(item: number) => void>) {
    for (const item of items) await use(item)
  }
  async *numbers(count: number) {
    for (let n = 0; n < count; n++) yield n
  }
  price() {
    return { total: new Money(1) }
  }
  fail(): never {
    throw new OutOfStock()
  }
}
class Forgetful {
  static {
    // @ts-expect-error `remember` is public and not listed
    exposes(Forgetful, { forget: true })
  }
  forget() {}
  remember() {}
}
class Old extends Service {
  exposed_add(a: number, b: number) {
    return a + b
  }
}
class Decorated extends Old {
  declare readonly '~exposes'?: { sub: true }
  @exposed(numbers) sub(a: number, b: number) {
    return a - b
  }
  // @ts-expect-error types do not see it
  @exposed more() {}
}

export async function main(): Promise<void> {
  await using server = await serve(Calculator, {
    port: 0,
    before: (call, session) => void `${session}: ${call}`
  })
  server.port.toFixed()
  await using conn = connect<Calculator>(server.url)
  const sum: number = await conn.root.add(1, 2)
  // @ts-expect-error a string is no number
  conn.root.add('1', 2)
  await conn.root.each([sum], item => item.toFixed())
  for await (const n of conn.root.numbers(3)) n.toFixed()
  const { total } = await conn.root.price()
  total.plus(new Money(1)).cents.toFixed()
  const failing: Pending<never> = conn.root.fail()
  await failing.catch(error => String(error))
  await using mixed = pair(Decorated)
  console.log(await mixed.root.add(1, 2), await mixed.root.sub(1, 2))
  const session: Session = mixed.served
  await Netref.with(conn.root.add, { timeout: 1000 })(1, 2)
  await connectLite<Calculator>(server.url).close()
  const file = expose({ readlines: () => ['one'] }, { read: ['readlines'] })
  console.log(file, session.state, base(conn).root)
}
export function Added(): string {
  const conn = useConnection<Calculator>('ws://localhost', { renew: true })
  return useConnectionState(conn) + useRemote(() => conn.root.add(1, 2), [conn]).toFixed()
}
export async function operated(): Promise<[Health, string]> {
  const log = new JsonLog()
  const server = await serve(Calculator, { ...log.hooks, ...(Math.random() > 0.5 && { port: 0 }) })
  log.follow(server)
  await connectInPage<Calculator>(server.url, { timeout: undefined }).close()
  return [healthOf(server), metricsText(server)]
}
const base = (conn: Connection<Calculator>): Connection<unknown> => conn
