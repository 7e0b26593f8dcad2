// Reads the texts of scalar elements: numbers, booleans, dates and bytes.
import type { Limits } from '../../protocol/limits.js'
import { quote } from '../../util/describe.js'
import { MalformedXmlError } from './malformed.js'

type ScalarLimits = Pick<Limits, 'bigintDigits'>
type ReadScalar = (text: string, type: string, limits: ScalarLimits) => unknown

const INTEGER = /^[+-]?\d+$/
const DOUBLE = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/
const DATE = /^(\d{4})-?(\d\d)-?(\d\d)T(\d\d):?(\d\d):?(\d\d)(\.\d{1,9})?(Z|[+-]\d\d:?\d\d)?$/
const MAX_QUOTED_CHARACTERS = 24

/** By element name. Whitespace counts in a string only. */
export const SCALARS: ReadonlyMap<string, ReadScalar> = new Map<string, ReadScalar>([
  ...['int', 'i1', 'i2', 'i4', 'i8', 'biginteger'].map(type => [type, readInteger] as const),
  ...['double', 'float'].map(type => [type, readDouble] as const),
  ['boolean', readBoolean],
  ['string', text => text],
  ['base64', readBase64],
  ['dateTime.iso8601', readDate],
  ['nil', readNil]
])

const malformed = (text: string, type: string) =>
  new MalformedXmlError(`${quote(text, MAX_QUOTED_CHARACTERS)} in <${type}>`)

/** A number if it is exact, else a bigint. */
function readInteger(text: string, type: string, { bigintDigits }: ScalarLimits): number | bigint {
  const digits = text.trim()
  // The time that BigInt takes grows faster than the number of digits.
  if (digits.length > bigintDigits || !INTEGER.test(digits)) throw malformed(digits, type)
  const number = Number(digits)
  // An integer has no negative zero.
  return Number.isSafeInteger(number) ? number + 0 : BigInt(digits)
}

function readDouble(text: string, type: string): number {
  const number = DOUBLE.test(text.trim()) ? Number(text) : Number.NaN
  if (!Number.isFinite(number)) throw malformed(text, type)
  return number
}

function readBoolean(text: string, type: string): boolean {
  const digit = text.trim()
  if (digit !== '0' && digit !== '1') throw malformed(text, type)
  return digit === '1'
}

function readBase64(text: string, type: string): Uint8Array {
  const digits = text.replace(/\s+/g, '')
  if (!BASE64.test(digits)) throw malformed(text, type)
  // Not a Buffer: a service gets the same class from all its clients.
  return new Uint8Array(Buffer.from(digits, 'base64'))
}

/** A time without a zone is UTC. */
function readDate(text: string, type: string): Date {
  const match = DATE.exec(text.trim())
  if (!match) throw malformed(text, type)
  const [, year, month, day, hour, minute, second, fraction = '', zone = 'Z'] = match
  const offset = zone === 'Z' ? zone : `${zone.slice(0, 3)}:${zone.slice(-2)}`
  const date = new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}${fraction.slice(0, 4)}${offset}`)
  // `Date` reads 31 February as a day of March.
  if (Number.isNaN(date.getTime()) || Number(day) > daysOfMonth(year!, month!)) throw malformed(text, type)
  return date
}

function daysOfMonth(year: string, month: string): number {
  const lastDay = new Date(0)
  lastDay.setUTCFullYear(Number(year), Number(month), 0)
  return lastDay.getUTCDate()
}

function readNil(text: string, type: string): null {
  if (text.trim() !== '') throw malformed(text, type)
  return null
}
