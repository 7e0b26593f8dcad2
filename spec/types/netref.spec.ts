// Claims about types, which `tsc --noEmit` checks. None of the code runs: `compiles` never calls it. A line
// under `@ts-expect-error` must not compile, and a claim that is no longer true fails the build either way.
// biome-ignore-all lint/suspicious/noExplicitAny: that `any` stays what it is, is among the claims

import type { ChildProcess, ChildProcessWithoutNullStreams } from 'node:child_process'
import type { createReadStream } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex, Readable, Writable } from 'node:stream'
import { type } from 'arktype'
import t from 'tap'
import * as v from 'valibot'
import { z } from 'zod'
import type { expose as Expose } from '../../lib/access/expose.js'
import {
  exposed,
  Netref as NetrefHelpers,
  type Session,
  serve,
  type UpgradeRequest
} from '../../lib/index.js'
import { Netref as Helpers } from '../../lib/remote/netref.js'
import type {
  DataOnly,
  Exposed,
  ExposedKey,
  ExposedMember,
  Netref,
  NetrefBrand,
  Obtained,
  Pending,
  PendingBrand,
  Received,
  RemoteHandle,
  RemotePath,
  Sendable,
  TargetOf,
  Unserializable
} from '../../lib/types/netref.js'

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
/** `same<A, B>(true)` compiles only if A and B are the same type. */
type Same = <A, B>(equal: Equal<A, B>) => void
declare const same: Same
declare const connect: <T>(url: string) => { root: Netref<T> }

let claims = 0
const compiles = (_claim: string, _code: (...given: never[]) => unknown) => claims++

class Service {
  onConnect?(session: object): void
  onDisconnect?(session: object, reason: object): void
}

class TextFile {
  path = 'a'
  readonly size = 1
  private secret = 's'
  protected guarded = 'g'
  _internal = 'i'
  readonly [Symbol.toStringTag] = 'TextFile'
  static open(path: string) {
    return new TextFile(path)
  }
  constructor(path?: string) {
    this.path = path ?? this.secret + this.guarded
  }
  get lastLine() {
    return 'z'
  }
  readlines() {
    return ['a', 'b']
  }
  async first(count = 1, ...more: number[]) {
    return `${count}${more}`
  }
  rename(to: string): this {
    this.path = to
    return this
  }
  copyTo(other: TextFile) {
    return other
  }
}

class LineCounter extends Service {
  exposed_version = '1'
  hidden = 1
  async exposed_line_counter(file: Netref<TextFile>, noisy: Netref<(line: string) => void>) {
    const lines = await file.readlines()
    for (const line of lines) await noisy(line)
    return lines.length
  }
  exposed_open(path: string) {
    return new TextFile(path)
  }
  get exposed_files() {
    return [new TextFile()]
  }
  secret() {}
}

compiles('the line counter of the design', async () => {
  const { root } = connect<LineCounter>('ws://localhost:18861')
  const count = await root.line_counter(new TextFile('testfile.txt'), line => {
    same<typeof line, string>(true)
    console.log('Noisy:', line)
  })
  same<typeof count, number>(true)
  same<typeof root, Netref<LineCounter>>(true)
  // @ts-expect-error a file is missing
  root.line_counter(line => line)
  // @ts-expect-error a number is not a file
  root.line_counter(1, () => {})
  // @ts-expect-error a line is a string
  root.line_counter(new TextFile(), (line: number) => line)
})

compiles(
  'if there are exposed_ members, only they are visible, without the prefix',
  async (ref: Netref<LineCounter>) => {
    same<ExposedKey<LineCounter>, 'version' | 'line_counter' | 'open' | 'files'>(true)
    same<string, Awaited<typeof ref.version>>(true)
    // @ts-expect-error
    ref.exposed_version
    // @ts-expect-error
    ref.hidden
    // @ts-expect-error
    ref.secret()
    // @ts-expect-error
    ref.onConnect
  }
)

compiles('without exposed_ members, the public ones are visible', async (ref: Netref<TextFile>) => {
  same<ExposedKey<TextFile>, 'path' | 'size' | 'lastLine' | 'readlines' | 'first' | 'rename' | 'copyTo'>(true)
  same<Awaited<typeof ref.lastLine>, string>(true)
  // @ts-expect-error private
  ref.secret
  // @ts-expect-error protected
  ref.guarded
  // @ts-expect-error private by convention
  ref._internal
  // @ts-expect-error a symbol
  ref[Symbol.toStringTag]
})

compiles('hooks are not visible', () => {
  same<ExposedKey<Service>, never>(true)
  same<ExposedKey<{ exposed_onConnect(): void; exposed_prototype: 1; exposed_a: 1 }>, 'a'>(true)
})

compiles('local members of promises and proxies are visible only if they are remote', async () => {
  type Odd = {
    then: number
    catch: number
    finally: number
    toJSON: number
    map: number
    a(): void
    self: Odd
  }
  const ref = {} as Netref<Odd>
  same<Awaited<typeof ref>, Netref<Odd>>(true)
  same<keyof typeof ref & string, 'catch' | 'finally' | 'map' | 'a' | 'self'>(true)
  same<typeof ref.catch, RemotePath<number>>(true)
  same<typeof ref.self.catch, RemotePath<number>>(true)
  same<Pending<Odd>['catch'], Promise<Netref<Odd>>['catch']>(true)
  same<ExposedKey<Odd>, keyof Odd>(true)
  // @ts-expect-error only Netref.get reaches it
  ref.then
})

compiles('a method can be called, and read', async (ref: Netref<TextFile>) => {
  same<ReturnType<typeof ref.readlines>, Pending<string[]>>(true)
  same<Awaited<typeof ref.readlines>, Netref<() => string[]>>(true)
  const readlines = await ref.readlines
  same<Awaited<ReturnType<typeof readlines>>, string[]>(true)
  ref.readlines.then(read => read())
  // @ts-expect-error of a promise, a path has `then` only
  ref.readlines.catch
  // @ts-expect-error a property is not a method
  ref.path()
  // @ts-expect-error Netref.set writes
  ref.path = 'b'
})

compiles('optional and rest parameters', async (ref: Netref<TextFile>) => {
  same<string, Awaited<ReturnType<typeof ref.first>>>(true)
  ref.first()
  ref.first(1)
  ref.first(1, 2, 3)
  ref.first(undefined, 2)
  // @ts-expect-error
  ref.first(1, '2')
  // @ts-expect-error
  ref.readlines(1)
})

compiles('`this` has the type of the object', async (ref: Netref<TextFile>) => {
  same<Awaited<ReturnType<typeof ref.rename>>, Netref<TextFile>>(true)
  const lines: string[] = await ref.rename('b').rename('c').readlines()
  return lines
})

class Point {
  constructor(
    public x: number,
    public y = 0
  ) {}
}
abstract class Shape {
  abstract area(): number
}

compiles(
  'classes can be constructed',
  async (ref: Netref<{ Point: typeof Point; File: typeof TextFile }>) => {
    const file = await new ref.File('a')
    same<typeof file, Netref<TextFile>>(true)
    const lines: string[] = await new ref.File().readlines()
    const opened: Netref<TextFile> = await ref.File.open('a')
    const File = await ref.File
    same<typeof File, Netref<typeof TextFile>>(true)
    same<Awaited<InstanceType<typeof File>>, Netref<TextFile>>(true)
    const point = await new ref.Point(1)
    same<typeof point, Netref<Point>>(true)
    // @ts-expect-error
    new ref.Point('1')
    // @ts-expect-error a class is not called
    ref.Point(1)
    return { lines, opened }
  }
)

type Named = ((line: string) => number) & { name(port: number): string; bind(port: number): string }
compiles(
  'a netref to a function has members of functions only if they are remote',
  async (ref: Netref<Host>) => {
    same<typeof ref.maker.name, unknown>(true)
    const named = {} as Netref<Named>
    same<Awaited<ReturnType<typeof named.name>>, string>(true)
    const counted: number = await named.apply(null, ['line'])
    const bound: (line: string) => PromiseLike<number> = named.bind(null)
    // @ts-expect-error
    named.call(null, counted)
    const there = {} as Netref<{ call(number: string): boolean }>
    same<Awaited<ReturnType<typeof there.call>>, boolean>(true)
    bound('line')
    // @ts-expect-error
    ref.open.call(null, 'a')
    // @ts-expect-error
    ref.open.bind(null)
    // @ts-expect-error
    const length: number = ref.open.length
    return length
  }
)

compiles('abstract classes cannot', (ref: Netref<{ Shape: typeof Shape }>) => {
  // @ts-expect-error
  new ref.Shape()
})

type Config = { name: string; deep: { value: number; list: { id: number }[] }; maybe?: { a: 1 }; _id: 2 }
class Host {
  config: Config = { name: '', deep: { value: 1, list: [] }, _id: 2 }
  pair: [number, TextFile] = [1, new TextFile()]
  when = new Date()
  names = new Map<string, TextFile>()
  open(_path: string) {
    return new TextFile()
  }
  async list() {
    return [new TextFile()]
  }
  find(path: string): TextFile | undefined {
    return path ? new TextFile() : undefined
  }
  async copy() {
    return this.config
  }
  maker() {
    return (path: string) => new TextFile(path)
  }
}

compiles('a path continues through data', async (ref: Netref<Host>) => {
  const value: number = await ref.config.deep.value
  const id: number = await ref.config.deep.list[0].id
  const own: 2 = await ref.config._id
  same<Awaited<typeof ref.config>, Config>(true)
  same<(typeof ref.pair)[0], RemotePath<number>>(true)
  const lines: string[] = await ref.pair[1].readlines()
  // @ts-expect-error
  ref.config.nothing
  // @ts-expect-error it may be undefined: await it first
  ref.config.maybe.a
  // @ts-expect-error a Date has no path
  ref.when.getTime
  // @ts-expect-error nor has a string
  ref.config.name.length
  // @ts-expect-error nor has a Map
  ref.names.size
  // @ts-expect-error the methods of an array are not its own
  ref.config.deep.list.map
  return { value, id, own, lines }
})

compiles('a result is a promise', async (ref: Netref<Host>) => {
  const file: Promise<Netref<TextFile>> = ref.open('a')
  const [a, b] = await Promise.all([ref.open('a'), ref.list()])
  same<typeof a, Netref<TextFile>>(true)
  same<typeof b, Netref<TextFile>[]>(true)
  const first = await Promise.race([ref.config.name, ref.open('a').path])
  same<typeof first, string>(true)
  const [settled] = await Promise.allSettled([ref.open('a')])
  if (settled.status === 'fulfilled') same<typeof settled.value, Netref<TextFile>>(true)
  ref
    .open('a')
    .then(it => it.path)
    .catch(() => '')
    .finally(() => {})
  return file
})

compiles('and a path', async (ref: Netref<Host>) => {
  same<string, Awaited<ReturnType<ReturnType<typeof ref.open>['first']>>>(true)
  const length: number = await ref.list().length
  const lines: string[] = await ref.list()[0].readlines()
  const value: number = await ref.copy().deep.value
  const made: Netref<TextFile> = await ref.maker()('a')
  const path: string = await ref.maker()('a').rename('b').path
  // @ts-expect-error there may be no file: await it first
  ref.find('a').path
  return { length, lines, value, made, path }
})

class Shifty {
  later = Promise.resolve({ n: 1 })
  optional?(n: number): string
  either(): TextFile | Host {
    return new TextFile()
  }
  some(): TextFile | string {
    return ''
  }
  entries() {
    return { file: new TextFile(), at: new Date(0), deep: { failed: new Failure() } }
  }
}
compiles('promises, optional members and unions', async (ref: Netref<Shifty>) => {
  same<Awaited<typeof ref.later>, { n: number }>(true)
  const n: number = await ref.later.n
  same<Awaited<typeof ref.optional>, Netref<(n: number) => string> | undefined>(true)
  const optional = await ref.optional
  if (optional) same<Awaited<ReturnType<typeof optional>>, string>(true)
  const either = await ref.either()
  same<typeof either, Netref<TextFile> | Netref<Host>>(true)
  const some = await ref.some()
  if (typeof some !== 'string') same<typeof some, Netref<TextFile>>(true)
  const entries = await ref.entries()
  same<typeof entries, { file: Netref<TextFile>; at: Date; deep: { failed: Failure } }>(true)
  const shared = {} as Netref<TextFile | { path: 1 }>
  same<Awaited<typeof shared.path>, string | 1>(true)
  same<ReturnType<NonNullable<typeof ref.optional>>, Pending<string>>(true)
  // @ts-expect-error it may be missing
  ref.optional(1)
  // @ts-expect-error not all of the union have it
  ref.either().readlines()
  return n
})

interface Observer {
  next(value: number): void
  error?(error: Error): void
  complete?: () => Promise<string>
  closed: (() => void) | undefined
  onabort: ((n: number) => string) | null
  both?: ((n: number) => string) | null
  when?: { inner?: (n: number) => number; n: number | null }
  file?: TextFile
  files?: TextFile[]
  parent: Observer | null
  either?: ((n: number) => 1) | { n: 2 }
  any?: any
  unknown?: unknown
  nothing: undefined
  weak?: WeakMap<object, object>
}
class Observed {
  exposed_subscribe?(observer: Netref<Observer>): void
  exposed_options() {
    return { depth: 1 } as { depth: number; log?: Netref<(line: string) => number>; then?: number }
  }
  exposed_plugins() {
    return {} as Partial<Record<string, { name: string; stop?(): Promise<string> }>>
  }
  exposed_pair(): [number, TextFile?] {
    return [1]
  }
}

compiles(
  'members that may be undefined or null are used with ?.',
  async (observer: Netref<Observer>, ref: Netref<Observed>, helpers: typeof Helpers) => {
    await observer.error?.(new Error('no more'))
    const complete = await observer.complete?.()
    same<typeof complete, string | undefined>(true)
    await observer.closed?.()
    const aborted = await observer.onabort?.(1)
    same<typeof aborted, string | undefined>(true)
    const both = await observer.both?.(1)
    same<typeof both, string | undefined>(true)
    const inner = await observer.when?.inner?.(1)
    same<typeof inner, number | undefined>(true)
    const n = await observer.when?.n
    same<typeof n, number | null | undefined>(true)
    const lines = await observer.file?.readlines()
    same<typeof lines, string[] | undefined>(true)
    const path = await observer.files?.[0]?.path
    same<typeof path, string | undefined>(true)
    await observer.parent?.parent?.next(1)
    same<Awaited<typeof observer.both>, Netref<(n: number) => string> | null | undefined>(true)
    same<Awaited<typeof observer.parent>, Netref<Observer> | null>(true)
    same<Awaited<typeof observer.files>, Netref<TextFile>[] | undefined>(true)
    same<Awaited<typeof observer.either>, Netref<(n: number) => 1> | { n: 2 } | undefined>(true)
    same<Awaited<typeof observer.any>, any>(true)
    same<Awaited<typeof observer.unknown>, unknown>(true)
    same<Awaited<typeof observer.nothing>, undefined>(true)
    await ref.subscribe?.({ next() {}, closed: undefined, onabort: null, parent: null, nothing: undefined })
    await ref.options().log?.('a')
    await (await ref.options()).log?.('a')
    await ref.pair()[1]?.readlines()
    const stopped = await (await ref.plugins()).any?.stop?.()
    same<typeof stopped, string | undefined>(true)
    if (observer.error) await helpers.oneway(observer.error)(new Error('no more'))
    // @ts-expect-error it may be missing
    observer.complete()
    // @ts-expect-error it may be null
    observer.onabort(1)
    // @ts-expect-error it may be missing
    observer.file.path
    // @ts-expect-error
    observer.error?.('no more')
    // @ts-expect-error
    observer.next?.('1')
    // @ts-expect-error data has no path
    observer.when?.n?.toFixed()
    // @ts-expect-error it cannot be sent, if it is there
    await observer.weak?.get({})
  }
)

class Store {
  async get<T>(_key: string): Promise<T> {
    throw new Error()
  }
  async list<T extends object>(..._keys: T[]): Promise<{ found?: T[] }> {
    return {}
  }
  async pick<K extends keyof Plain>(_key: K): Promise<Plain[K]> {
    throw new Error()
  }
  async file<K extends keyof Rows>(_key: K): Promise<Rows[K]> {
    throw new Error()
  }
  async open<K extends keyof Rows>(_key: K): Promise<TextFile> {
    throw new Error()
  }
  async each<T, U>(_list: T[], _change: Netref<(value: T) => U>): Promise<U[]> {
    return []
  }
  atOnce<T>(value: T): T {
    return value
  }
  async on<K extends keyof Plain>(_key: K, _listener: (value: Plain[K]) => void): Promise<void> {}
}
type Rows = { file: TextFile; host: Host }
compiles(
  'a generic method that returns a promise of data keeps its type parameters',
  async (ref: Netref<Store>) => {
    const got = await ref.get<{ name: string }>('a')
    same<typeof got, { name: string }>(true)
    const listed = await ref.list({ n: 1 })
    same<typeof listed, { found?: { n: number }[] }>(true)
    const when = await ref.pick('when')
    same<typeof when, Date>(true)
    const get = await ref.get
    same<Awaited<ReturnType<typeof get<1>>>, 1>(true)
    // The constraints of other type parameters remain: these results differ from the owner's declaration.
    const file = await ref.file('file')
    same<typeof file, Netref<TextFile> | Netref<Host>>(true)
    const lines: string[] = await ref.open('file').readlines()
    const each = await ref.each([1], n => n)
    same<typeof each, unknown[]>(true)
    const atOnce = await ref.atOnce(1)
    same<typeof atOnce, unknown>(true)
    await ref.on('s', value => value)
    // @ts-expect-error
    ref.pick('nothing')
    // @ts-expect-error
    ref.get(1)
    return lines
  }
)

compiles('a netref is disposable', async (host: Netref<Host>) => {
  using file = await host.open('a')
  same<ReturnType<(typeof file)[typeof Symbol.dispose]>, void>(true)
})

type Plain = { s: string; n: number | null; when: Date; tags: readonly string[]; sub?: { big: bigint } }
class Failure extends Error {
  code = 'E'
}
class Registry extends Map<string, number> {
  total() {
    return 1
  }
}
class Tomorrow extends Date {
  isNear() {
    return true
  }
}

compiles('data arrives as a copy', () => {
  same<Received<string | 1 | true | null | undefined | 1n>, string | 1 | true | null | undefined | 1n>(true)
  same<Received<Date | RegExp | URL>, Date | RegExp | URL>(true)
  same<Received<Error | Failure>, Error | Failure>(true)
  same<Received<ArrayBuffer | DataView | Float64Array>, ArrayBuffer | DataView | Float64Array>(true)
  same<Received<Uint8Array | Buffer>, Uint8Array | Buffer>(true)
  same<Received<Plain>['sub'], { big: bigint } | undefined>(true)
  same<Received<Plain>['tags'], string[]>(true)
  same<Received<boolean>, boolean>(true)
  same<Received<void>, void>(true)
})

compiles('an object with behaviour arrives as a netref, at any depth', () => {
  same<Received<() => void>, Netref<() => void>>(true)
  same<Received<TextFile>, Netref<TextFile>>(true)
  same<Received<typeof TextFile>, Netref<typeof TextFile>>(true)
  same<Received<typeof Shape>, Netref<typeof Shape>>(true)
  same<Received<TextFile | null>, Netref<TextFile> | null>(true)
  same<Received<TextFile[]>, Netref<TextFile>[]>(true)
  same<Received<[number, TextFile, ...string[]]>, [number, Netref<TextFile>, ...string[]]>(true)
  same<Received<Map<string, TextFile>>, Map<string, Netref<TextFile>>>(true)
  same<Received<Set<() => 1>>, Set<Netref<() => 1>>>(true)
  same<Received<{ a: { file?: TextFile } }>, { a: { file?: Netref<TextFile> } }>(true)
  same<Received<Record<string, TextFile>>, Record<string, Netref<TextFile>>>(true)
  same<Received<Registry>, Netref<Registry>>(true)
  same<Received<Tomorrow>, Netref<Tomorrow>>(true)
})

compiles('the receiver owns a copy: nothing in it is readonly', () => {
  same<Received<readonly string[]>, string[]>(true)
  same<Received<readonly [1, TextFile]>, [1, Netref<TextFile>]>(true)
  same<Received<{ readonly a: 1 }>, { a: 1 }>(true)
  same<Received<ReadonlyMap<1, 2> | ReadonlySet<3>>, Map<1, 2> | Set<3>>(true)
})

compiles('a netref stays a single netref', () => {
  same<Received<Netref<TextFile>>, Netref<TextFile>>(true)
  same<Received<Netref<TextFile>[]>, Netref<TextFile>[]>(true)
  same<Received<Received<Host>>, Received<Host>>(true)
  same<
    Received<{ log: Netref<(line: string) => void>; n: 1 }>,
    { log: Netref<(line: string) => void>; n: 1 }
  >(true)
})

compiles(
  'any, unknown and never stay what they are',
  async (ref: Netref<{ a: any; u: unknown; n(): never }>) => {
    same<Received<any>, any>(true)
    same<Received<unknown>, unknown>(true)
    same<Received<never>, never>(true)
    same<Received<{ a: any; n: 1 }>, { a: any; n: 1 }>(true)
    same<Sendable<any>, any>(true)
    same<Sendable<unknown>, unknown>(true)
    same<Sendable<never>, never>(true)
    same<Received<object>, object>(true)
    same<Sendable<object>, PendingBrand<object> | object>(true)
    same<Awaited<typeof ref.a>, any>(true)
    same<Awaited<typeof ref.u>, unknown>(true)
    same<Awaited<ReturnType<typeof ref.n>>, never>(true)
  }
)

compiles('a netref of any has every member', async (ref: Netref<any>) => {
  const anything = await ref.a.b(1).c
  same<typeof anything, any>(true)
  await new ref.Counter(1)
  await ref(1)
  ref(1).then(value => value)
  connect<any>('').root.a.b(() => {})
})

type Tree = { value: number; children: Tree[]; parent?: Tree }
type Json = string | number | boolean | null | Json[] | { [key: string]: Json }
interface Node {
  parent: Node | null
  children(): Node[]
  visit(visitor: Netref<(node: Node) => void>): void
}
type Thunk = () => Thunk

compiles(
  'recursive types',
  async (ref: Netref<{ tree: Tree; node: Node; json(value: Json): Json; thunk: Thunk }>) => {
    const tree: Tree = await ref.tree
    const value: number = await ref.tree.children[0].children[0].value
    const json: Json = await ref.json({ a: [1, 'b', { c: null }] })
    const node: Netref<Node> = await ref.node.children()[0].children()[0]!
    node.visit(visited => {
      same<typeof visited, Netref<Node>>(true)
    })
    const thunk: Netref<Thunk> = await ref.thunk()()()
    // @ts-expect-error
    ref.json({ a: new Date() })
    return { tree, value, json, thunk }
  }
)

class Sloppy {
  plain(_value: Plain) {}
  netref(_file: Netref<TextFile>) {}
  file(_file: TextFile) {}
  maybe(_file?: TextFile | null) {}
  callback(_callback: (file: TextFile, count: number) => string) {}
  options(_options: { verbose?: boolean; log: Netref<(line: string) => void>; file: TextFile }) {}
  handlers(_handlers: { log(line: string): void; done?: () => void }) {}
  list(_list: TextFile[], _pair: [string, TextFile]) {}
  map(_map: Map<string, TextFile>, _set: Set<() => void>) {}
  make(_make: Netref<typeof TextFile>) {}
  any(_any: any) {}
  unknown(_unknown: unknown) {}
  reference(_reference: Netref<unknown>) {}
}

compiles(
  'for a Netref<X>, and for an X, a local X or a netref to one may be passed',
  (ref: Netref<Sloppy>) => {
    const file = new TextFile()
    const remote = {} as Netref<TextFile>
    ref.netref(file)
    ref.netref(remote)
    ref.file(file)
    ref.file(remote)
    ref.maybe()
    ref.maybe(null)
    ref.maybe(remote)
    ref.list([file, remote] as const, ['a', remote])
    ref.map(new Map([['a', remote]]), new Set([() => {}]))
    ref.make(TextFile)
    ref.make({} as Netref<typeof TextFile>)
    ref.plain({ s: '', n: null, when: new Date(), tags: ['a'] as const })
    ref.options({ log: line => line.toUpperCase(), file })
    ref.options({ log: {} as Netref<(line: string) => void>, file: remote, verbose: true })
    ref.reference(file)
    ref.reference(remote)
    ref.reference(() => {})
    ref.handlers({ log: line => line.toUpperCase(), async done() {} })
    ref.callback({} as Netref<(file: Netref<TextFile>) => string>)
    ref.callback({} as Netref<(file: TextFile, count: number) => string>)
    ref.any(file)
    ref.unknown(file)
    // @ts-expect-error
    ref.handlers({ log: line => line.nothing() })
    // @ts-expect-error
    ref.netref({})
    // @ts-expect-error
    ref.file({} as Netref<Host>)
    // @ts-expect-error
    ref.list(['a'], ['a', file])
    // @ts-expect-error
    ref.plain({ s: '', n: null, when: 'today', tags: [] })
    // @ts-expect-error
    ref.options({ log: line => line.nothing(), file })
    // @ts-expect-error data is no reference
    ref.reference(1)
  }
)

compiles(
  'a path or a pending result is sent as the value that it will have',
  (ref: Netref<Sloppy>, host: Netref<Host>) => {
    ref.netref(host.open('a'))
    ref.file(host.pair[1])
    ref.callback({} as RemotePath<(file: Netref<TextFile>) => string>)
    ref.plain({ s: host.config.name, n: null, when: new Date(), tags: [] })
    ref.reference(host.config)
    ref.list([host.open('a')], ['a', new TextFile()])
    // @ts-expect-error a string is no file
    ref.netref(host.config.name)
    // @ts-expect-error
    ref.file(host.config.name)
    // @ts-expect-error
    ref.callback({} as RemotePath<string>)
    // @ts-expect-error
    ref.plain({ s: host.open('a'), n: null, when: new Date(), tags: [] })
    // @ts-expect-error
    ref.list([host.config.name], ['a', new TextFile()])
  }
)

interface Adder {
  square(n: number): number
  sum(numbers: readonly number[]): Promise<number>
  each(
    list: number[],
    map: Netref<(n: number) => number>
  ): { results: Pending<number>[]; first: RemotePath<number> }
  direct(map: Netref<(n: number) => number>): Pending<number>
  maybe(n?: number): number | undefined
  set: number
}
compiles(
  'pending results in arguments, results and callbacks have the types of their values',
  async (ref: Netref<Adder>, set: typeof Helpers.set, file: Netref<TextFile>) => {
    same<Awaited<ReturnType<typeof ref.square>>, number>(true)
    ref.square(ref.square(2))
    ref.square(ref.sum([1, ref.square(2), ref.set]))
    ref.maybe(ref.maybe(1))
    // @ts-expect-error it may be undefined
    ref.square(ref.maybe(1))
    // @ts-expect-error
    ref.square(file.name)
    const each = await ref.each([1], n => ref.square(n))
    same<typeof each, { results: number[]; first: number }>(true)
    same<Awaited<ReturnType<typeof ref.direct>>, number>(true)
    set(ref, 'set', ref.square(1))
    // @ts-expect-error
    set(ref, 'set', file.name)
  }
)

class AsyncFile {
  async read() {
    return ''
  }
}
compiles(
  'also if its methods are sufficient',
  (ref: Netref<{ use(file: AsyncFile): void; make(): AsyncFile }>) => {
    ref.use(new AsyncFile())
    ref.use(ref.make())
  }
)

interface Handlers {
  onFile: (file: TextFile) => void
  onError?: (error: Error) => void
  map?: (n: number) => number
  hooks?: { before(file: TextFile): boolean; deep?: { after: (file: TextFile) => Promise<TextFile> } }
  readonly list?: readonly ((file: TextFile) => void)[]
  pair?: [name: string, done: (file: TextFile) => void]
  format?: { kind: 'file'; of: (file: TextFile) => string } | { kind: 'number'; of: (n: number) => string }
  lines?: (lines: AsyncIterable<TextFile>) => AsyncIterable<number>
}
class Handled {
  on(_handlers: Handlers) {}
  onNetref(_handlers: Netref<Handlers>) {}
  options(_options?: { depth?: number; found?: (file: TextFile) => void }) {}
  byName(_handlers: Record<string, (file: TextFile) => void>) {}
  mixed(_handlers: { [name: string]: number | ((file: TextFile) => void) }) {}
  making(_making: { File: typeof TextFile; make?: new (path: string) => TextFile; log: () => void }) {}
  either(_handler: ((file: TextFile) => void) | { onFile(file: TextFile): void }) {}
  records(_handlers: { onFile: (file: TextFile) => void }[]) {}
  sharing(_file: { path: string; copyTo(other: TextFile): TextFile }) {}
  answer(_make: () => { onFile: (file: TextFile) => void }) {}
}

compiles('functions in objects are callbacks, too', (ref: Netref<Handled>, file: Netref<TextFile>) => {
  ref.on({
    onFile: async file => {
      same<typeof file, Netref<TextFile>>(true)
      const path: string = await file.path
      return path
    },
    onError: error => error.message,
    map: async n => n,
    hooks: {
      before: async file => (await file.readlines()).length > 0,
      deep: { after: file => file }
    },
    list: [file => same<typeof file, Netref<TextFile>>(true)],
    pair: ['a', file => same<typeof file, Netref<TextFile>>(true)],
    format: { kind: 'number', of: n => n.toFixed() },
    async *lines(files) {
      for await (const file of files) yield (await file.readlines()).length
    }
  })
  ref.onNetref({ onFile: file => same<typeof file, Netref<TextFile>>(true) })
  ref.on({ onFile: {} as Netref<(file: TextFile) => void>, map: n => n })
  ref.on({} as Netref<Handlers>)
  ref.options()
  ref.options({})
  ref.options({ depth: 1, found: undefined })
  ref.options({ found: file => same<typeof file, Netref<TextFile>>(true) })
  ref.byName({ a: file => same<typeof file, Netref<TextFile>>(true) })
  ref.mixed({ a: 1, b: file => same<typeof file, Netref<TextFile>>(true) })
  ref.making({ File: TextFile, make: TextFile, log() {} })
  ref.making({ File: {} as Netref<typeof TextFile>, log() {} })
  ref.either(file => same<typeof file, Netref<TextFile>>(true))
  ref.either({ onFile: file => same<typeof file, Netref<TextFile>>(true) })
  ref.records([{ onFile: file => same<typeof file, Netref<TextFile>>(true) }])
  ref.answer(async () => ({ onFile: file => same<typeof file, Netref<TextFile>>(true) }))
  // @ts-expect-error
  ref.options({ found: file => file.path.toUpperCase() })
  // @ts-expect-error
  ref.on({ onFile: file => file.readlines().length.toFixed() })
  // @ts-expect-error
  ref.on({ onFile() {}, map: n => `${n}` })
  // @ts-expect-error
  ref.on({ onFile() {}, map: async n => `${n}` })
  // @ts-expect-error
  ref.on({ onFile: (n: number) => n })
  // @ts-expect-error
  ref.on({ map: n => n })
  // @ts-expect-error
  ref.options({ fond: () => {} })
  // @ts-expect-error
  ref.options({ depth: 'a', found() {} })
  // @ts-expect-error
  ref.on({ onFile() {}, format: { kind: 'number', of: n => n.path } })
  // @ts-expect-error
  ref.making({ File: TextFile, make: () => {}, log() {} })
  ref.options({ found: file.copyTo })
})

compiles(
  'with a shared class, an object of it may be passed, whatever its methods take',
  (ref: Netref<Handled>) => {
    ref.sharing(new TextFile())
    ref.sharing({} as Netref<TextFile>)
  }
)

compiles(
  'lost: a function typed by its owner is assignable to a method of a shared class',
  (ref: Netref<Handled>) => {
    ref.on({ onFile: (file: TextFile) => file.path.toUpperCase() })
    // @ts-expect-error but not if it is passed directly
    ref.either((file: TextFile) => file.path.toUpperCase())
  }
)

class Watcher {
  watch(_changed: Netref<(file: Netref<TextFile>, lines: string[], data: { at: Date }) => void>) {}
  sort(_compare: Netref<(a: string, b: string) => number>) {}
  pick(_choose: Netref<(path: string) => TextFile>) {}
  sloppy(_changed: (file: TextFile, by?: number) => void) {}
  late(_later: Netref<() => Promise<string>>) {}
  done(_done?: Netref<() => void> | null) {}
  all(..._listeners: Netref<(line: string) => void>[]) {}
  sink(_sink: Netref<{ write(chunk: string): void; end?(): void }>) {}
  nested(_outer: Netref<(inner: Netref<(n: number) => string>) => void>) {}
}

compiles('callbacks: parameters are inferred as received types', (ref: Netref<Watcher>) => {
  ref.watch((file, lines, data) => {
    same<typeof file, Netref<TextFile>>(true)
    same<typeof lines, string[]>(true)
    same<typeof data, { at: Date }>(true)
  })
  ref.sloppy((file, by) => {
    same<typeof file, Netref<TextFile>>(true)
    same<typeof by, number | undefined>(true)
  })
  ref.all(
    line => line.toUpperCase(),
    async line => line.length
  )
  ref.sink({ write: chunk => chunk.length, end() {} })
  ref.nested(async inner => {
    same<Awaited<ReturnType<typeof inner>>, string>(true)
    // @ts-expect-error
    inner('1')
  })
  // @ts-expect-error
  ref.all(line => line.nothing())
  // @ts-expect-error a callback may take less, not more
  ref.done((more: string) => more)
})

compiles(
  'callbacks: any result in place of void, and a promise in place of any result',
  (ref: Netref<Watcher>) => {
    ref.watch(() => 1)
    ref.watch(async () => {})
    ref.done(() => Symbol())
    ref.done()
    ref.done(null)
    ref.sort((a, b) => a.length - b.length)
    ref.sort(async (a, b) => a.length - b.length)
    ref.pick(path => new TextFile(path))
    ref.pick(async path => new TextFile(path))
    ref.pick(() => ({}) as Netref<TextFile>)
    ref.late(() => 'at once')
    ref.late(async () => 'later')
    // @ts-expect-error
    ref.sort((a, b) => a + b)
    // @ts-expect-error
    ref.pick(() => 'a')
  }
)

compiles('how the service uses a callback', async (choose: Netref<(path: string) => TextFile>) => {
  const lines: string[] = await choose('a').readlines()
  // @ts-expect-error
  choose(1)
  return lines
})

class Bad {
  symbol(_tag: symbol) {}
  nested(_value: { user: { tag: symbol }; list: WeakMap<object, string>[] }) {}
  weak(_map: WeakMap<object, string>, _set: WeakSet<object>) {}
  promise(_promise: Promise<number>) {}
  text(_text: string) {}
  iterator(_items: Generator<number>) {}
  giveSymbol() {
    return Symbol()
  }
  async giveWeakMap() {
    return new WeakMap<object, string>()
  }
  *giveIterator() {
    yield 1
  }
  giveNested() {
    return { tag: Symbol(), n: 1 }
  }
  tag = Symbol()
}

compiles('an unserializable value does not compile', async (ref: Netref<Bad>) => {
  same<Parameters<typeof ref.symbol>, [_tag: Unserializable<symbol>]>(true)
  // @ts-expect-error
  ref.symbol(Symbol())
  // @ts-expect-error
  ref.text(Symbol())
  // @ts-expect-error
  ref.nested({ user: { tag: Symbol() }, list: [] })
  ref.nested({ user: { tag: {} as Unserializable<symbol> }, list: [] })
  // @ts-expect-error
  ref.nested({ user: { tag: {} as Unserializable<symbol> }, list: [new WeakMap()] })
  // @ts-expect-error
  ref.weak(new WeakMap(), {} as never)
  // @ts-expect-error
  ref.weak({} as never, new WeakSet())
  // @ts-expect-error
  ref.giveSymbol()
  // @ts-expect-error
  ref.giveWeakMap()
  same<typeof ref.tag, Unserializable<symbol>>(true)
  same<Awaited<ReturnType<typeof ref.giveNested>>, { tag: Unserializable<symbol>; n: number }>(true)
})

interface Overloaded {
  get(key: string): number
  get(key: number, deep: boolean): TextFile
  get(key: Date): null
}

compiles('overloads: up to four', async (ref: Netref<Overloaded>) => {
  same<number, Awaited<ReturnType<typeof ref.get>> extends never ? 1 : number>(true)
  const a: number = await ref.get('a')
  const b: Netref<TextFile> = await ref.get(1, true)
  const c: null = await ref.get(new Date())
  // @ts-expect-error
  ref.get(true)
  return { a, b, c }
})

compiles('lost: the first of more than four overloads', (ref: Netref<Many>) => {
  ref.f(5)
  ref.f(2)
  // @ts-expect-error the first of five
  ref.f(1)
})
interface Many {
  f(a: 1): void
  f(a: 2): void
  f(a: 3): void
  f(a: 4): void
  f(a: 5): void
}

compiles(
  'lost: only the last signature of an overloaded callback is checked',
  (ref: Netref<{ on(f: Overloaded['get']): void }>) => {
    ref.on(key => {
      same<typeof key, Date>(true)
      return null
    })
  }
)

compiles(
  'lost: type parameters; the constraint remains',
  async (
    ref: Netref<{
      echo<T>(value: T): T
      id<T extends { id: string }>(value: T): T
      map<T, U>(list: T[], f: Netref<(item: T) => U>): U[]
    }>
  ) => {
    const echoed = await ref.echo(1)
    same<typeof echoed, unknown>(true)
    const one = await ref.id({ id: 'a' })
    same<typeof one, { id: string }>(true)
    // @ts-expect-error
    ref.id({})
    const mapped = await ref.map([1, 2], item => {
      same<typeof item, unknown>(true)
      return 'a'
    })
    same<typeof mapped, unknown[]>(true)
  }
)

class Relay<T, D extends object> {
  constructor(readonly topic: Netref<(item: T) => void>) {}
  publish(item: T, netref: Netref<D>) {
    // @ts-expect-error lost: within generic code, T is not known to be sendable as itself
    this.topic(item)
    const handle: NetrefBrand<D> = netref
    return handle
  }
}
compiles(
  'lost only inside the class: from outside it is like any other',
  (ref: Netref<Relay<string, TextFile>>) => {
    ref.topic('a')
    ref.publish('a', new TextFile())
  }
)

compiles('kept: the type parameters of a named class', async (ref: Netref<Box<TextFile>>) => {
  const file: Netref<TextFile> = await ref.get()
  const lines: string[] = await ref.get().readlines()
  ref.put(new TextFile())
  return { file, lines }
})
class Box<T> {
  constructor(private value: T) {}
  get() {
    return this.value
  }
  put(value: T) {
    this.value = value
  }
}

compiles('types behind netrefs, paths and results', () => {
  same<TargetOf<Netref<TextFile>>, TextFile>(true)
  same<TargetOf<RemotePath<Config>>, Config>(true)
  same<TargetOf<Pending<TextFile>>, TextFile>(true)
  same<TargetOf<Pending<Promise<Netref<TextFile>>>>, TextFile>(true)
  same<TargetOf<string>, string>(true)
})

declare const helpers: {
  get<T, K extends ExposedKey<T>>(ref: RemoteHandle<T>, key: K): RemotePath<ExposedMember<T, K>>
  set<T, K extends ExposedKey<T>>(
    ref: RemoteHandle<T>,
    key: K,
    value: Sendable<ExposedMember<T, K>>
  ): Promise<void>
  keys<T>(ref: RemoteHandle<T>): Promise<ExposedKey<T>[]>
  is(value: unknown): value is Netref<unknown>
  release(ref: NetrefBrand<unknown>): void
}
compiles('helpers infer T from any handle', async (host: Netref<Host>, counter: Netref<LineCounter>) => {
  const version: string = await helpers.get(counter, 'version')
  const value: number = await helpers.get(host.config, 'deep').value
  const path: string = await helpers.get(host.open('a'), 'path')
  await helpers.set(host.config, 'name', 'b')
  await helpers.set(host.pair, 1, new TextFile())
  const keys: ('version' | 'line_counter' | 'open' | 'files')[] = await helpers.keys(counter)
  helpers.release(host)
  const something: unknown = await host.open('a')
  if (helpers.is(something)) helpers.release(something)
  await helpers.get({} as Netref<any>, 'anything').more
  // @ts-expect-error
  helpers.get(counter, 'exposed_version')
  // @ts-expect-error
  helpers.set(host.config, 'name', 1)
  // @ts-expect-error there is no netref yet to release
  helpers.release(host.config)
  return { version, value, path, keys }
})

compiles('is() tells a netref from data', (found: Netref<TextFile> | { path: string }) => {
  if (helpers.is(found)) same<typeof found, Netref<TextFile>>(true)
  else same<typeof found, { path: string }>(true)
})

compiles('a result passes through async functions', async (ref: Netref<Host>) => {
  const open = async () => ref.open('a')
  const read = async () => ref.config.name
  same<ReturnType<typeof open>, Promise<Netref<TextFile>>>(true)
  same<ReturnType<typeof read>, Promise<string>>(true)
})

compiles('netrefs are covariant', (file: Netref<TextFile>) => {
  const some: Netref<unknown> = file
  const less: Netref<{ readlines(): string[] }> = file
  // @ts-expect-error
  const other: Netref<Host> = file
  return { some, less, other }
})

class Money {
  constructor(readonly cents: number) {}
  add(other: Money) {
    return new Money(this.cents + other.cents)
  }
}
declare module '../../lib/types/netref.js' {
  interface Registered {
    money: Money
  }
}
compiles('registered classes are copied', async (ref: Netref<{ pay(amount: Money): Money[] }>) => {
  same<Received<{ price: Money }>, { price: Money }>(true)
  const [change] = await ref.pay(new Money(1))
  same<typeof change, Money | undefined>(false)
  same<typeof change, Money>(true)
})

compiles('checked at run time only: a class without methods looks like data', () => {
  same<Received<Point>, { x: number; y: number }>(true)
  same<ExposedKey<{ exposed_a: 1; b: 2; c(): void }>, 'a'>(true)
  same<Received<{ n: number; f(): void }>, Netref<{ n: number; f(): void }>>(true)
})

type Line = (line: string) => void
const listener = z.custom<Netref<Line>>(NetrefHelpers.is)

compiles(
  'a method and its schema agree: the method takes the schema’s output, and callers send its input',
  () => {
    class Agreeing {
      @exposed(z.tuple([z.number(), z.string()])) both(a: number, b: string) {
        return [a, b]
      }
      @exposed(z.tuple([z.string(), z.number().optional()])) optional(a: string, b?: number) {
        return [a, b]
      }
      @exposed(z.tuple([z.string(), z.number().default(3)])) filledIn(a: string, b = 1) {
        return [a, b]
      }
      @exposed(z.tuple([z.coerce.number()])) coerced(a: number) {
        return a
      }
      @exposed(z.tuple([z.string()]).rest(z.number())) rest(a: string, ...b: number[]) {
        return [a, b]
      }
      @exposed(z.tuple([listener])) async listen(to: Netref<Line>) {
        return to('a')
      }
      @exposed(v.tuple([v.object({ name: v.string() })])) valibot(a: { name: string }) {
        return a
      }
      @exposed(type(['string', NetrefHelpers.schema<Line>()])) arktype(a: string, b: Netref<Line>) {
        return [a, b]
      }
      @exposed({ schema: z.tuple([z.number()]), if: ({ identity }) => identity === 'ada' }) options(
        a: number
      ) {
        return a
      }
      @exposed({ if: (session: Session<object, { admin: boolean }>) => session.identity.admin }) get some() {
        return 1
      }
      @exposed({ returns: z.number() }) result() {
        return 1
      }
      @exposed({ schema: z.tuple([z.number()]), returns: z.array(z.string()), idempotent: true }) async both2(
        a: number
      ) {
        return [`${a}`]
      }
      @exposed({ returns: z.string().default('none') }) defaulted(): string {
        return 'a'
      }
    }
    class Disagreeing {
      // @ts-expect-error the result is no string
      @exposed({ returns: z.string() }) result() {
        return 1
      }
      // @ts-expect-error callers would get a string where the method says number
      @exposed({ returns: z.number().transform(String) }) converted() {
        return 1
      }
      // @ts-expect-error the arguments disagree
      @exposed({ schema: z.tuple([z.string()]), returns: z.number() }) argument(a: number) {
        return a
      }
      // @ts-expect-error a getter has no result schema
      @exposed({ returns: z.number() }) get got() {
        return 1
      }
      // @ts-expect-error
      @exposed(z.tuple([z.number(), z.string()])) otherTypes(a: string, b: string) {
        return [a, b]
      }
      // @ts-expect-error
      @exposed(z.tuple([z.number()])) more(a: number, b: string) {
        return [a, b]
      }
      // @ts-expect-error a call without arguments would compile, and be refused
      @exposed(z.tuple([z.number()])) fewer() {
        return 1
      }
      // @ts-expect-error so would a call with a string
      @exposed(z.tuple([z.number()])) wider(a: unknown) {
        return a
      }
      // @ts-expect-error callers would send a number, which the schema does not take
      @exposed(z.tuple([z.string().transform(Number)])) transformed(a: number) {
        return a
      }
      // @ts-expect-error the method would be given a number
      @exposed(z.tuple([z.string().transform(Number)])) untransformed(a: string) {
        return a
      }
      // @ts-expect-error
      @exposed(z.tuple([z.string().nullable()])) nullable(a: string) {
        return a
      }
      // @ts-expect-error
      @exposed(z.tuple([listener])) listen(to: Netref<(n: number) => void>) {
        return to
      }
      // @ts-expect-error
      @exposed(v.tuple([v.number()])) valibot(a: string) {
        return a
      }
      // @ts-expect-error
      @exposed(type(['number'])) arktype(a: string) {
        return a
      }
      // @ts-expect-error
      @exposed({ schema: z.tuple([z.number()]) }) options(a: string) {
        return a
      }
      // @ts-expect-error a schema of no list
      @exposed(z.object({ a: z.number() })) noList(a: { a: number }) {
        return a
      }
      // @ts-expect-error a getter has no arguments
      @exposed(z.tuple([z.number()])) get size() {
        return 1
      }
      // @ts-expect-error
      @exposed({ if: 'ada' }) condition() {}
    }
    return { Agreeing, Disagreeing }
  }
)

compiles('the result of authenticate is the identity in a service function', () => {
  interface User {
    admin: boolean
  }
  const authenticate = async (request: UpgradeRequest): Promise<User | undefined> =>
    request.cookies.sid === 'a' ? { admin: true } : undefined
  serve(session => (session.identity.admin ? { a: 1 } : { b: 1 }), { authenticate })
  serve((session: Session<object, User>) => ({ admin: session.identity.admin }), {
    authenticate: request => request.headers.sid === 'a' && { admin: true }
  })
  // @ts-expect-error nobody was asked
  serve(session => ({ admin: session.identity.admin }))
  // @ts-expect-error it is no list of roles
  serve(session => session.identity.roles, { authenticate })
  // @ts-expect-error a user is not a name
  serve((session: Session<object, User>) => session, { authenticate: () => 'ada' })
})

interface Flows {
  counting(): Generator<number, string, boolean>
  files(): AsyncGenerator<TextFile>
  records(): IterableIterator<{ file: TextFile; when: Date }>
  iterator(): IterableIterator<number>
  steps(): Iterator<number>
  later(): AsyncIterator<TextFile>
  page(): Page
  ofPages(): Pages
  cursor(): Cursor
  some(): Iterable<TextFile>
  someLater(): AsyncIterable<TextFile>
  maybe(): AsyncIterable<string> | undefined
  bytes(): ReadableStream<Uint8Array>
  sink(): WritableStream<string>
  pair(): TransformStream<string, number>
  readable(): Readable
  writable(): Writable
  duplex(): Duplex
  ofNode(): NodeJS.ReadableStream
  toNode(): NodeJS.WritableStream
  both(): NodeJS.ReadWriteStream
  output(): ChildProcess['stdout']
  input(): ChildProcess['stdin']
  stdin(): NodeJS.Process['stdin']
  stdout(): NodeJS.Process['stdout']
  response(): ServerResponse
  request(): IncomingMessage
  zip(): CompressionStream
  decoder(): TextDecoderStream
  ends(): { readable: ReadableStream<string>; writable: WritableStream<number> }
  named(): { readable: ReadableStream; writable: WritableStream; file: TextFile; n: number }
  instance(): Ends
  looksLike(): Looks
  promised(): Promise<{ later: Promise<TextFile>; lines: AsyncIterable<string> }>
  signal(): AbortSignal
  list(): number[]
  map(): Map<string, TextFile>
  text(): string
  record(): { n: number }
  registry(): Registry
}
interface Page {
  items: string[]
  next(): { items: string[] }
}
declare class Pages {
  next(): IteratorResult<string>
}
declare class Cursor extends Pages {
  [Symbol.iterator](): this
}
declare class Ends {
  readonly readable: ReadableStream<string>
  readonly writable: WritableStream<string>
  close(): void
}
declare class Looks {
  readable: boolean
  writable: boolean
  read(): string
  write(text: string): void
  end(): void
}
type Arrived<K extends keyof Flows> = Awaited<ReturnType<Netref<Flows>[K]>>

compiles('a stream arrives as the same kind of stream', () => {
  same<Arrived<'counting'>, AsyncGenerator<number, string, boolean>>(true)
  same<Arrived<'files'>, AsyncGenerator<Netref<TextFile>, any, any>>(true)
  same<Arrived<'records'>, AsyncGenerator<{ file: Netref<TextFile>; when: Date }, any, any>>(true)
  same<Arrived<'iterator'>, AsyncGenerator<number, any, any>>(true)
  same<Arrived<'steps'>, Netref<Iterator<number>>>(true)
  same<Arrived<'later'>, Netref<AsyncIterator<TextFile>>>(true)
  same<Arrived<'page'>, Netref<Page>>(true)
  same<Arrived<'ofPages'>, Netref<Pages>>(true)
  same<Arrived<'cursor'>, AsyncGenerator<string, any, unknown>>(true)
  same<Arrived<'some'>, Iterable<Netref<TextFile>> | AsyncIterable<Netref<TextFile>>>(true)
  same<Arrived<'someLater'>, AsyncIterable<Netref<TextFile>>>(true)
  same<Arrived<'maybe'>, AsyncIterable<string> | undefined>(true)
  same<Arrived<'bytes'>, ReadableStream<Uint8Array>>(true)
  same<Arrived<'sink'>, WritableStream<string>>(true)
  same<Arrived<'pair'>, TransformStream<string, number>>(true)
  same<Arrived<'readable'>, ReadableStream>(true)
  same<Arrived<'writable'>, WritableStream>(true)
  same<Arrived<'duplex'>, TransformStream>(true)
  same<Arrived<'ofNode'>, ReadableStream>(true)
  same<Arrived<'toNode'>, WritableStream>(true)
  same<Arrived<'both'>, TransformStream>(true)
  same<Arrived<'output'>, ReadableStream | null>(true)
  same<Arrived<'input'>, WritableStream | null>(true)
  same<Arrived<'stdin'>, ReadableStream>(true)
  same<Arrived<'stdout'>, WritableStream>(true)
  same<Arrived<'response'>, WritableStream>(true)
  same<Arrived<'request'>, ReadableStream>(true)
  same<Arrived<'zip'>, CompressionStream>(true)
  same<keyof Arrived<'decoder'>, 'readable' | 'writable'>(true)
  same<Arrived<'ends'>, { readable: ReadableStream<string>; writable: WritableStream<number> }>(true)
  same<Arrived<'named'>['file'], Netref<TextFile>>(true)
  same<Arrived<'named'>['n'], number>(true)
  same<Arrived<'instance'>['readable'], ReadableStream<string>>(true)
  same<keyof Arrived<'instance'>, 'readable' | 'writable'>(true)
  same<Arrived<'looksLike'>, Netref<Looks>>(true)
  same<Arrived<'signal'>, AbortSignal>(true)
  same<Arrived<'promised'>, { later: Promise<Netref<TextFile>>; lines: AsyncIterable<string> }>(true)
  same<Received<{ at: Promise<Date>[] }>, { at: Promise<Date>[] }>(true)
  same<Received<Map<string, AbortSignal>>, Map<string, AbortSignal>>(true)
  same<Received<AsyncGenerator<string>>, AsyncGenerator<string, any, any>>(true)
})

compiles('for await iterates a pending result', async (ref: Netref<Flows>) => {
  for await (const n of ref.counting()) same<typeof n, number>(true)
  for await (const file of ref.files()) same<typeof file, Netref<TextFile>>(true)
  for await (const { file, when } of ref.records()) {
    same<typeof file, Netref<TextFile>>(true)
    same<typeof when, Date>(true)
  }
  for await (const n of ref.iterator()) same<typeof n, number>(true)
  const step = await ref.steps().next()
  if (!step.done) same<typeof step.value, number>(true)
  const more = await (await ref.later()).next()
  if (!more.done) same<typeof more.value, Netref<TextFile>>(true)
  same<Awaited<ReturnType<Netref<Page>['next']>>, { items: string[] }>(true)
  // @ts-expect-error it may be a plain object with a `next`
  for await (const n of ref.steps()) same<typeof n, number>(true)
  // @ts-expect-error
  for await (const file of ref.later()) same<typeof file, Netref<TextFile>>(true)
  for await (const file of ref.some()) same<typeof file, Netref<TextFile>>(true)
  for await (const file of await ref.some()) same<typeof file, Netref<TextFile>>(true)
  for await (const file of await ref.someLater()) same<typeof file, Netref<TextFile>>(true)
  for await (const chunk of ref.bytes()) same<typeof chunk, Uint8Array>(true)
  for await (const chunk of await ref.bytes()) same<typeof chunk, Uint8Array>(true)
  for await (const n of ref.list()) same<typeof n, number>(true)
  for await (const entry of ref.map()) same<typeof entry, [string, Netref<TextFile>]>(true)
  for await (const line of ref.promised().lines) same<typeof line, string>(true)
  for await (const entry of await ref.registry()) same<typeof entry, [string, number]>(true)
  // @ts-expect-error a text is walked where it is
  for await (const letter of ref.text()) same<typeof letter, string>(true)
  // @ts-expect-error data is no iterable
  for await (const nothing of ref.record()) same<typeof nothing, never>(true)
  // @ts-expect-error there may be none: await it first
  for await (const line of ref.maybe()) same<typeof line, string>(true)
  // @ts-expect-error it is waited for
  for (const n of await ref.counting()) same<typeof n, number>(true)
  // @ts-expect-error past what has a flow there is no path
  ref.bytes().locked
  // @ts-expect-error
  ref.counting().next()
})

interface Takes {
  lines(lines: AsyncIterable<string>): void
  atOnce(lines: Iterable<string>): void
  entries(entries: Iterable<[string, number]>): void
  generator(lines: AsyncGenerator<string>): void
  steps(lines: AsyncIterator<string>): void
  files(files: AsyncIterable<Netref<TextFile>>): void
  bytes(bytes: ReadableStream<Uint8Array>): void
  sink(sink: WritableStream<string>): void
  pair(pair: TransformStream<string, number>): void
  node(stream: Readable): void
  ofNode(stream: NodeJS.ReadableStream): void
  later(n: Promise<number>): void
  signal(signal?: AbortSignal | null): void
  nested(value: { file: Promise<TextFile>; signal: AbortSignal; lines: AsyncIterable<string> }): void
  each(use: Netref<(lines: AsyncIterable<string>, signal: AbortSignal) => AsyncIterable<number>>): void
}
declare const a: {
  strings: {
    generator(): Generator<string>
    later(): AsyncGenerator<string>
    iterable: AsyncIterable<string>
  }
  steps: AsyncIterator<string>
  numbers(): AsyncGenerator<number>
  file: ReturnType<typeof createReadStream>
  readable: ReadableStream<string>
  web: ReadableStream<Uint8Array>
  sink: WritableStream<string>
  writable: Writable
  duplex: Duplex
  pair: TransformStream<string, number>
  child: ChildProcessWithoutNullStreams
  response: ServerResponse
}

compiles('a stream may be passed as any object that arrives as the required kind', (ref: Netref<Takes>) => {
  ref.lines(a.strings.later())
  ref.lines(a.strings.generator())
  ref.lines(a.strings.iterable)
  ref.lines(a.readable)
  ref.lines(a.file)
  ref.lines({
    async *[Symbol.asyncIterator]() {
      yield 'a'
    }
  })
  // @ts-expect-error a list goes by value
  ref.lines(['a'])
  // @ts-expect-error
  ref.lines(a.numbers())
  // @ts-expect-error an iterator that cannot be walked itself
  ref.lines(a.steps)
  // @ts-expect-error
  ref.lines('a')
  ref.atOnce(['a'])
  ref.atOnce(['a'] as const)
  ref.atOnce(new Set(['a']))
  ref.entries(new Map([['a', 1]]))
  // @ts-expect-error what arrives of a generator has to be waited for
  ref.atOnce(a.strings.generator())
  // @ts-expect-error
  ref.atOnce([1])
  ref.generator(a.strings.later())
  ref.generator(a.strings.generator())
  // @ts-expect-error a stream arrives as one, and has no next()
  ref.generator(a.readable)
  ref.steps(a.steps)
  ref.steps(a.strings.later())
  // @ts-expect-error
  ref.steps(a.numbers())
  ref.files({} as AsyncGenerator<TextFile>)
  ref.files({} as AsyncGenerator<Netref<TextFile>>)
  // @ts-expect-error
  ref.files(a.numbers())
  ref.bytes(a.web)
  ref.bytes(a.child.stdout)
  ref.ofNode(a.child.stdout)
  ref.sink(a.response)
  ref.sink(a.child.stdin)
  // @ts-expect-error
  ref.bytes(a.response)
  ref.bytes(a.file)
  // @ts-expect-error
  ref.bytes(a.sink)
  ref.sink(a.sink)
  ref.sink(a.writable)
  // @ts-expect-error
  ref.sink(a.readable)
  ref.pair(a.pair)
  ref.pair(a.duplex)
  ref.node(a.file)
  ref.later(Promise.resolve(1))
  // @ts-expect-error
  ref.later(Promise.resolve('1'))
  // @ts-expect-error
  ref.later(1)
  ref.signal()
  ref.signal(null)
  ref.signal(AbortSignal.timeout(1))
  // @ts-expect-error the signal, not what aborts it
  ref.signal(new AbortController())
  ref.nested({
    file: Promise.resolve(new TextFile()),
    signal: new AbortController().signal,
    lines: a.strings.later()
  })
  // @ts-expect-error
  ref.nested({ file: Promise.resolve(new Date()), signal: AbortSignal.abort(), lines: a.strings.later() })
})

compiles('callbacks take and return streams', (ref: Netref<Takes>) => {
  ref.each(async function* (lines, signal) {
    same<typeof lines, AsyncIterable<string>>(true)
    same<typeof signal, AbortSignal>(true)
    for await (const line of lines) yield line.length
  })
  ref.each(() => a.numbers())
  ref.each(async () => a.numbers())
  // @ts-expect-error
  ref.each(lines => lines)
})

compiles('the owner uses its own signature', () => {
  class Counter extends Service {
    async exposed_count(lines: AsyncIterable<string>, noisy: Netref<(line: string) => void>) {
      let count = 0
      for await (const line of lines) {
        await noisy(line)
        count++
      }
      return count
    }
    async *exposed_upTo(n: number) {
      for (let i = 0; i < n; i++) yield i
    }
  }
  return async (ref: Netref<Counter>) => {
    same<number, Awaited<ReturnType<typeof ref.count>>>(true)
    await ref.count(a.strings.later(), line => {
      same<typeof line, string>(true)
    })
    for await (const n of ref.upTo(3)) same<typeof n, number>(true)
  }
})

compiles(
  'Netref.with keeps the type',
  async (netref: typeof Helpers, host: Netref<Host>, flows: Netref<Flows>) => {
    const signal = AbortSignal.timeout(1)
    const view = netref.with(host, { signal, timeout: 5 })
    same<typeof view, Netref<Host>>(true)
    const open = netref.with(host.open, { timeout: 5 })
    same<Awaited<ReturnType<typeof open>>, Netref<TextFile>>(true)
    same<typeof open, typeof host.open>(true)
    for await (const n of netref.with(flows.counting, { window: 5 })()) same<typeof n, number>(true)
    for await (const n of netref.with(flows.counting(), { window: 5 })) same<typeof n, number>(true)
    await netref.with(netref.with(host, {}), {}).open('a').readlines()
    // @ts-expect-error
    netref.with(host, { timeout: '5' })
    // @ts-expect-error
    netref.with(host, { deadline: 5 })
    // @ts-expect-error
    netref.with(host, { signal: new AbortController() })
    // @ts-expect-error
    netref.with(new TextFile(), {})
    // @ts-expect-error
    open(5)
  }
)

compiles(
  'Netref.lend returns its argument’s type, if that may be passed',
  async (
    netref: typeof Helpers,
    each: Netref<{ each(count: number, callback: (n: number) => void): void }>
  ) => {
    await each.each(
      2,
      netref.lend(n => same<typeof n, number>(true))
    )
    const file = netref.lend(new TextFile())
    same<typeof file, TextFile>(true)
    const shout = netref.lend((text: string) => text)
    // @ts-expect-error
    await each.each(2, shout)
    // @ts-expect-error
    netref.lend(7)
  }
)

compiles(
  'Netref.oneway takes the function’s parameters, and returns nothing',
  async (netref: typeof Helpers, watcher: Netref<Watcher>, file: Netref<TextFile>, any: Netref<any>) => {
    const rename = netref.oneway(file.rename)
    same<typeof rename, (to: Sendable<string>) => Promise<void>>(true)
    await netref.oneway(file.first)(1, 2, 3)
    await netref.oneway({} as Netref<(line: string) => number>)('a')
    await netref.oneway(netref.with(file.rename, { signal: AbortSignal.abort() }))('a')
    netref.oneway(watcher.sloppy)((other, by) => {
      same<typeof other, Netref<TextFile>>(true)
      same<typeof by, number | undefined>(true)
    })
    await netref.oneway(any.anything)(1, 'a')
    // @ts-expect-error
    rename(1)
    // @ts-expect-error
    netref.oneway(file.path)
    // @ts-expect-error a function of this side
    netref.oneway((line: string) => line)
  }
)

compiles(
  'Netref.obtain returns the exposed data',
  async (netref: typeof Helpers, host: Netref<Host>, counter: Netref<LineCounter>) => {
    const copy = await netref.obtain(host)
    same<keyof typeof copy, 'config' | 'pair' | 'when' | 'names'>(true)
    same<typeof copy.pair, [number, Netref<TextFile>]>(true)
    same<typeof copy.names, Map<string, Netref<TextFile>>>(true)
    copy.when = new Date()
    same<Obtained<LineCounter>, { version: string; files: Netref<TextFile>[] }>(true)
    same<Awaited<ReturnType<typeof netref.obtain<LineCounter>>>, Obtained<LineCounter>>(true)
    const { version } = await netref.obtain(counter)
    same<typeof version, string>(true)
    same<Obtained<TextFile>, { path: string; size: 1; lastLine: string }>(true)
    const list = await netref.obtain({} as NetrefBrand<TextFile[]>)
    same<typeof list, Netref<TextFile>[]>(true)
    same<Obtained<Map<string, TextFile>>, Map<string, Netref<TextFile>>>(true)
    same<Obtained<Set<number>>, Set<number>>(true)
    same<Obtained<any>, any>(true)
    const config = await netref.obtain(host.config)
    same<typeof config, Config>(true)
    const opened = await netref.obtain(host.open('a'))
    same<typeof opened.path, string>(true)
    type Fields = { f?: () => void; C: typeof TextFile; log: Netref<() => void>; any: any; n?: number }
    same<Obtained<Fields>, { log: Netref<() => void>; any: any; n?: number }>(true)
    // @ts-expect-error methods stay home
    copy.open
    // @ts-expect-error
    netref.obtain(new TextFile())
  }
)

compiles('any exposed object is a reference', async (expose: typeof Expose) => {
  class Game {
    scores = expose(new Map([['Ada', new TextFile()]]))
    list() {
      return expose([1, 2])
    }
    record = () => expose({ name: 'Ada' })
    add(_scores: Netref<Map<string, number>>, _list: number[]) {}
  }
  const game = {} as Netref<Game>
  const own: number = new Game().list().length + new Game().scores.size
  const scores = await game.scores
  same<typeof scores, Netref<Map<string, TextFile>>>(true)
  const size: number = await scores.size
  const file = await scores.get('Ada')
  same<typeof file, Netref<TextFile> | undefined>(true)
  for await (const [name, file] of scores) {
    same<typeof name, string>(true)
    same<typeof file, Netref<TextFile>>(true)
  }
  const list = await game.list()
  same<typeof list, Netref<number[]>>(true)
  const pushed: number = await list.push(3)
  for await (const n of game.list()) same<typeof n, number>(true)
  const copies = [await Helpers.obtain(list), await Helpers.obtain(game.list())]
  same<typeof copies, number[][]>(true)
  same<Awaited<ReturnType<typeof game.record>>, Netref<{ name: string }>>(true)
  game.add(expose(new Map([['Ada', 1]])), [1])
  return { own, size, pushed }
})

compiles(
  'a remote array takes no callbacks with a synchronous result',
  async (
    list: Netref<number[]>,
    fixed: Netref<readonly string[]>,
    own: Netref<List>,
    games: Netref<Games>
  ) => {
    await list.forEach(n => {
      same<typeof n, number>(true)
    })
    await list.sort()
    const text: string = await list.join()
    const at: number | undefined = await list.at(-1)
    const where: number = await list.indexOf(3)
    const copy = (await Helpers.obtain(list)).filter(n => n > 2)
    const less: Netref<readonly number[]> = list
    // @ts-expect-error
    list.filter(n => n > 2)
    // @ts-expect-error
    list.find(n => n > 2)
    // @ts-expect-error
    list.map(async (n: number) => n)
    // @ts-expect-error
    list.reduce((sum, n) => sum + n)
    // @ts-expect-error
    list.sort((a: number, b: number) => a - b)
    // @ts-expect-error
    fixed.some(() => true)
    // @ts-expect-error
    own.every(() => true)
    // @ts-expect-error
    games.list().flatMap(n => [n])
    const total: number = await own.total()
    return { text, at, where, copy, less, total }
  }
)
interface Games {
  list(): Exposed<number[]> & number[]
}
class List extends Array<number> {
  total() {
    return 1
  }
}

compiles('a stream can be released', (netref: typeof Helpers, flows: Arrived<'counting'>) => {
  netref.release(flows)
  netref.release(AbortSignal.abort())
  netref.release(Promise.resolve(1))
  // @ts-expect-error
  netref.release('text')
})

compiles('`before` may return anything but a promise', () => {
  const seen = new Map<string, number>()
  serve({}, { before: call => seen.set(String(call), 1) })
  serve({}, { before: call => call.path.length })
  serve({}, { before: call => console.log(String(call)) })
  serve({}, { before: () => null! })
  // @ts-expect-error it decides at once
  serve({}, { before: async () => {} })
  // @ts-expect-error it decides at once
  serve({}, { before: () => Promise.resolve(true) })
})

compiles('what is published or stored is data only', (publish: <T>(value: DataOnly<T>) => void) => {
  same<DataOnly<{ at: Date; n?: bigint }>, { readonly at: Date; readonly n?: bigint }>(true)
  same<
    DataOnly<string[] | Map<string, number[]>>,
    readonly string[] | ReadonlyMap<string, readonly number[]>
  >(true)
  same<DataOnly<Uint8Array | Error | null>, Uint8Array | Error | null>(true)
  same<DataOnly<any>, any>(true)
  same<DataOnly<unknown>, unknown>(true)
  same<DataOnly<never>, never>(true)
  same<DataOnly<() => void>, Unserializable<() => void>>(true)
  same<DataOnly<Promise<number>>, Unserializable<Promise<number>>>(true)
  same<DataOnly<{ file: TextFile }>, { readonly file: Unserializable<TextFile> }>(true)
  same<DataOnly<Netref<Date>[]>, readonly Unserializable<Netref<Date>>[]>(true)
  same<DataOnly<Pending<number>>, Unserializable<Pending<number>>>(true)
  publish<Tree>({ value: 1, children: [{ value: 2, children: [] }] })
  publish<Json>({ a: [1, { b: null }] })
  // @ts-expect-error a method is no data
  publish<{ notify(): void }>({ notify() {} })
})

compiles('lost: chunks of streams have the owner’s types', () => {
  same<Received<ReadableStream<TextFile>>, ReadableStream<TextFile>>(true)
})

t.test('types.spec.ts loads; tsc --noEmit checks its claims', async t => {
  t.ok(claims > 0, `${claims} claims, none of which can be seen at run time`)
})
