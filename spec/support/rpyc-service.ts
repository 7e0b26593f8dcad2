// A service that clients of RPyC try all of the gateway with.

import { setTimeout as sleep } from 'node:timers/promises'
import { callSession, expose, Netref, Service } from '../../lib/index.js'

type Callback = Netref<(...args: unknown[]) => unknown>
type Lines = Netref<{ readlines(): string[] }>

class Counter {
  title = ''
  constructor(public count: number) {}
  increment() {
    return ++this.count
  }
}

/** The kinds of a value's parts, the outer before the inner. */
const kindsOf = (value: unknown): string[] => {
  if (Netref.is(value)) return ['Netref']
  if (typeof value !== 'object' || value === null) return []
  const parts = value instanceof Set ? [...value] : Object.values(value)
  return [value.constructor.name, ...parts.flatMap(kindsOf)]
}

export class Everything extends Service {
  static override help = { greet: 'Greets somebody' }
  #counter: object | undefined
  #kept: unknown[] = []
  #noted: unknown[] = []
  #wasClosed = false

  async exposed_line_counter(file: Lines, noisy: Callback) {
    const lines = await file.readlines()
    for (const line of lines) await noisy(line)
    return lines.length
  }
  exposed_same(value: unknown) {
    return value
  }
  async exposed_use(object: Netref<{ name: string; twice(n: number): number }> & Callback) {
    return [await object.name, await object.twice(21), await object(1, 'a')]
  }
  exposed_kinds(value: unknown) {
    return kindsOf(value).join(' ')
  }
  exposed_is_cycle(value: unknown[]) {
    return value[1] === value
  }
  exposed_note(value: number | number[]) {
    this.#noted.push(...[value].flat())
  }
  exposed_noted() {
    return this.#noted
  }
  exposed_record() {
    return { name: 'Ada', tags: ['a', 'b'], greet: (name: string) => `hello ${name}` }
  }
  exposed_map() {
    return new Map([[1, 'one']])
  }
  exposed_nan() {
    return Number.NaN
  }
  exposed_date() {
    return new Date('2026-01-02T03:04:05Z')
  }
  exposed_open(count: number) {
    this.#counter = expose(new Counter(count), { read: ['count', 'title', 'increment'], write: ['title'] })
    return this.#counter
  }
  exposed_opened() {
    return this.#counter
  }
  exposed_numbers() {
    return expose([1, 2, 3])
  }
  exposed_call(fn: Callback, ...args: unknown[]) {
    return fn(...args)
  }
  exposed_greet(name: string, greeting = 'Hello') {
    return `${greeting}, ${name}`
  }
  exposed_fail(name: string) {
    throw Object.assign(new Error('it failed'), { name, code: 'own' })
  }
  async exposed_name_of_error(fn: Callback, ...args: unknown[]) {
    try {
      await fn(...args)
    } catch (error) {
      const { name, module, message } = error as Error & { module: string }
      return [name, module, message]
    }
    return 'no error'
  }
  *exposed_count_to(count: number) {
    try {
      for (let n = 1; n <= count; n++) yield n
    } finally {
      this.#wasClosed = true
    }
  }
  exposed_was_closed() {
    return this.#wasClosed
  }
  async exposed_sum_all(numbers: AsyncIterable<number> | number[]) {
    let sum = 0
    for await (const n of numbers) sum += n
    return sum
  }
  exposed_add(a: number, b: number) {
    return a + b
  }
  async exposed_sleep(ms: number) {
    await sleep(ms)
  }
  exposed_later(callback: Callback) {
    setTimeout(() => void callback(), 100)
  }
  exposed_keep(value: unknown) {
    return this.#kept.push(value)
  }
  exposed_forget() {
    this.#counter = undefined
    this.#kept = []
  }
  /** Number of objects that the client holds. */
  exposed_held() {
    return callSession()!.stats.exports
  }
  exposed_secret = 'not a method'
  secret() {
    return 'not for you'
  }
}
