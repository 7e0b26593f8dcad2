/* c8 ignore start: how far each kind of work gets is random. */
// Work that a session does while its network fails: each call, item and chunk must have its effect once and in order.
import type { Test } from 'tap'
import { type Connection, exposed, type Netref, Service } from '../../lib/index.js'

/** The service. It records what it gets from the sessions that it serves. */
export class Works extends Service {
  /** The numbers that arrived, by kind of work. */
  readonly #got: Record<string, number[]> = {}
  #count = 0
  @exposed get pid() {
    return process.pid
  }
  @exposed next() {
    return ++this.#count
  }
  @exposed note(kind: string, n: number) {
    this.#got[kind] ??= []
    this.#got[kind].push(n)
    return n
  }
  @exposed got(kind: string) {
    return this.#got[kind] ?? []
  }
  @exposed async tell(from: number, count: number, listener: Netref<(n: number) => number>) {
    const answers = await Promise.all(Array.from({ length: count }, (_, i) => listener(from + i)))
    return answers.reduce((sum, n) => sum + n, 0)
  }
  @exposed async *items(count: number) {
    for (let i = 0; i < count; i++) yield i
  }
  @exposed async take(kind: string, items: AsyncIterable<number>) {
    for await (const n of items) this.note(kind, n)
  }
  @exposed stream(count: number, size: number) {
    let i = 0
    return new ReadableStream<Uint8Array>({
      pull(controller) {
        if (i < count) controller.enqueue(new Uint8Array(size).fill(i++))
        else controller.close()
      }
    })
  }
  @exposed length(bytes: Uint8Array) {
    return bytes.length
  }
  @exposed never() {
    return new Promise<never>(() => {})
  }
  @exposed({ idempotent: true }) onceMore(): Promise<number> {
    // Answered by the process that is asked after another one was killed.
    return process.env.NETREF_ANSWERS === 'no' ? new Promise(() => {}) : Promise.resolve(process.pid)
  }
  @exposed async drink(chunks: AsyncIterable<Uint8Array>) {
    let count = 0
    for await (const chunk of chunks) if (chunk.length > 0) count++
    return count
  }
}

/** Does all kinds of work until `goesOn` returns false, then asserts that each took effect once and in order. */
export function startWork(t: Test, conn: Connection<Works>, goesOn: () => boolean) {
  const { root } = conn
  const done = { calls: 0, many: 0, told: 0, items: 0, given: 0, chunks: 0 }
  const told: number[] = []
  const isInOrder = (numbers: readonly number[]) => numbers.every((n, i) => n === i)
  const work = [
    async () => {
      while (goesOn()) {
        const n = await root.next()
        if (n !== ++done.calls) throw new Error(`call ${done.calls} got ${n}`)
      }
    },
    async () => {
      while (goesOn()) {
        await Promise.all(Array.from({ length: 50 }, () => root.note('many', done.many++)))
      }
      t.ok(
        isInOrder((await root.got('many')) as number[]),
        `${done.many} calls, 50 at a time, each once, in order`
      )
      t.equal(((await root.got('many')) as number[]).length, done.many)
    },
    async () => {
      while (goesOn()) {
        const from = done.told
        done.told += 20
        const sum = await root.tell(from, 20, n => {
          told.push(n)
          return 1
        })
        if (sum !== 20) throw new Error(`20 callbacks gave ${sum}`)
      }
      t.ok(told.length === done.told && isInOrder(told), `${done.told} callbacks, each once, in order`)
    },
    async () => {
      while (goesOn()) {
        let n = 0
        for await (const item of root.items(200)) {
          if (item !== n++) throw new Error(`item ${item} came as ${n}`)
        }
        if (n !== 200) throw new Error(`${n} items`)
        done.items += n
      }
    },
    async () => {
      async function* numbers() {
        while (goesOn()) yield done.given++
      }
      await root.take('given', numbers())
      const given = (await root.got('given')) as number[]
      t.ok(given.length === done.given && isInOrder(given), `${done.given} items given, each once, in order`)
    },
    async () => {
      while (goesOn()) {
        let n = 0
        for await (const chunk of (await root.stream(20, 50_000)) as ReadableStream<Uint8Array>) {
          if (chunk.length !== 50_000 || chunk.some(byte => byte !== n))
            throw new Error(`chunk ${n} is wrong`)
          n++
        }
        if (n !== 20) throw new Error(`${n} chunks`)
        done.chunks += n
      }
    }
  ]
  const finished = Promise.all(work.map(each => each())).then(() => {
    t.ok(
      Object.values(done).every(count => count > 0),
      JSON.stringify(done)
    )
  })
  finished.catch(() => {})
  return { done, finished }
}
