// 64-bit integers: numbers, and bigints where a number is not exact.

/** A 64-bit integer, as protobufjs reads it. */
export interface Long {
  readonly low: number
  readonly high: number
  readonly unsigned: boolean
}

/** A 64-bit integer as a number if it is safe, otherwise as a bigint. */
export function fromLong({ low, high, unsigned }: Long): number | bigint {
  const number = (unsigned ? high >>> 0 : high | 0) * 2 ** 32 + (low >>> 0)
  if (Number.isSafeInteger(number)) return number
  const bits = (BigInt(high | 0) << 32n) | BigInt(low >>> 0)
  return unsigned ? BigInt.asUintN(64, bits) : bits
}

/** A 64-bit integer for protobufjs. */
export function toLong(integer: bigint, unsigned: boolean): Long {
  const low = Number(BigInt.asIntN(32, integer))
  const high = Number(BigInt.asIntN(32, integer >> 32n))
  return { low, high, unsigned }
}

/** A key of a map, which protobufjs reads as eight characters, one for each byte. */
export function longOfKey(key: string, unsigned: boolean): Long {
  const [low, high] = [0, 4].map(start => {
    const [a = 0, b = 0, c = 0, d = 0] = [0, 1, 2, 3].map(i => key.charCodeAt(start + i))
    return a | (b << 8) | (c << 16) | (d << 24)
  }) as [number, number]
  return { low, high, unsigned }
}
