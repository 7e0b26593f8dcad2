// What a payload of the echo rows is.

/** The size of a payload as JSON, in bytes, roughly. */
export const PAYLOAD_BYTES = 1_000_000

/** Plain data of one shape, about 1 MB as JSON, the same in every run and every process. */
export interface Payload<T = unknown> {
  make(): T
  /** Part of the value, compared after each echo. The whole value is compared once, before anything is timed. */
  sample(value: T): unknown
}

/** Lets TypeScript infer what `make` returns. */
export const payload = <T>(make: () => T, sample: (value: T) => unknown): Payload =>
  ({ make, sample }) as Payload

/** Items until they take `PAYLOAD_BYTES` as JSON. */
export function fill<T>(make: (i: number) => T): T[] {
  const items: T[] = []
  for (let bytes = 0; bytes < PAYLOAD_BYTES; ) {
    const item = make(items.length)
    bytes += Buffer.byteLength(JSON.stringify(item)) + 1
    items.push(item)
  }
  return items
}
