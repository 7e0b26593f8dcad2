// The bytes of Go's `time.Time`: a version, seconds since the year 1, nanoseconds, and the minutes of the zone.

/** The time that Go's zero value is: the first of January of the year 1. */
export const ZERO_TIME_MS = -62_135_596_800_000
const ZERO_TIME_SECONDS = BigInt(ZERO_TIME_MS) / 1000n

const BYTES = 15
/** The second version has a byte behind for the seconds of the zone. */
const BYTES_BY_VERSION: readonly (number | undefined)[] = [undefined, BYTES, BYTES + 1]
const SECONDS_AT = 1
const NANOSECONDS_AT = 9
const ZONE_AT = 13
const UTC = -1
const NS_PER_MS = 1_000_000
const MS_PER_SECOND = 1000

/** @returns undefined for bytes that are no time, or one that a Date does not have. Fractions of a ms and the zone are lost */
export function decodeTime(bytes: Uint8Array): Date | undefined {
  if (bytes.length !== BYTES_BY_VERSION[bytes[0] ?? 0]) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  const seconds = Number(view.getBigInt64(SECONDS_AT) + ZERO_TIME_SECONDS)
  const date = new Date(seconds * MS_PER_SECOND + Math.floor(view.getInt32(NANOSECONDS_AT) / NS_PER_MS))
  return Number.isNaN(date.getTime()) ? undefined : date
}

/** The time in UTC; undefined for an invalid Date. */
export function encodeTime(date: Date): Uint8Array | undefined {
  const ms = date.getTime()
  if (Number.isNaN(ms)) return undefined
  const bytes = new Uint8Array(BYTES)
  const view = new DataView(bytes.buffer)
  const seconds = Math.floor(ms / MS_PER_SECOND)
  view.setUint8(0, 1)
  view.setBigInt64(SECONDS_AT, BigInt(seconds) - ZERO_TIME_SECONDS)
  view.setInt32(NANOSECONDS_AT, (ms - seconds * MS_PER_SECOND) * NS_PER_MS)
  view.setInt16(ZONE_AT, UTC)
  return bytes
}
