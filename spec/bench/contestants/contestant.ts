// What the benchmark asks of a contestant: a server in one process, clients in another.

export interface Contestant {
  /** Begins to serve, on a free port. @returns the address */
  serve(): Promise<string>
  connect(address: string): Promise<Client>
}

/** What a client can do, as somebody would write it who uses that library. What it cannot do, it leaves out. */
export interface Client {
  add(a: number, b: number): Promise<number>
  /** Has the server call `callback` with 0, 1, … so many times, some of them at a time. @returns the sum of the answers */
  callBack?(count: number, atOnce: number, callback: (i: number) => number): Promise<number>
  /** Has the server read the lines of a file here, and say each to `noisy`, some at a time. @returns how many there are */
  countLines?(file: TextFile, atOnce: number, noisy: (line: string) => void): Promise<number>
  /** The same value from the server: plain JSON. */
  echo?<T>(value: T): Promise<T>
  echoBytes?(bytes: Uint8Array): Promise<Uint8Array>
  /** A value with a Date, a Map, a Set, a bigint and undefined. */
  echoRich?<T>(value: T): Promise<T>
  /** Has the server make a counter, increments it, and lets it go. @returns the count */
  useCounter?(): Promise<number>
  /** Goes from node to node so many times, each step from what the one before returned. @returns how far it is */
  chain?(length: number): Promise<number>
  /** Streams 0, 1, … from the server. @returns their sum */
  sumItems?(count: number): Promise<number>
  /** Has so many of the server's objects at hand here, or so many of our own at the server's. */
  hold?(what: 'imports' | 'exports', count: number): Promise<void>
  /** Makes so many calls that are never answered. */
  leavePending?(count: number): Promise<void>
  close(): Promise<void> | void
}

/** What the server is given by reference, or by hand-written messages. */
export class TextFile {
  constructor(private readonly lines: string[]) {}
  readlines(): string[] {
    return this.lines
  }
}

/** An object of the server's. */
export class Counter {
  #count = 0
  increment(): number {
    return ++this.#count
  }
}

/** A link of a chain. */
export class Node {
  constructor(private readonly distance: number) {}
  next(): Node {
    return new Node(this.distance + 1)
  }
  value(): number {
    return this.distance
  }
}

/** Does `work` for 0, 1, … below `count`, some of them at a time. */
export async function each(
  count: number,
  atOnce: number,
  work: (i: number) => PromiseLike<unknown>
): Promise<void> {
  let next = 0
  const worker = async () => {
    while (next < count) await work(next++)
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, count) }, worker))
}

/** The sum of what `work` promises for 0, 1, … below `count`, some of them at a time. */
export async function sumOf(
  count: number,
  atOnce: number,
  work: (i: number) => PromiseLike<unknown>
): Promise<number> {
  let sum = 0
  await each(count, atOnce, async i => {
    const found = (await work(i)) as number
    sum += found
  })
  return sum
}
