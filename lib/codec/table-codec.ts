// Many records with the same names cross as a table: the names once, then the cells, column by column.
//
//   [names, column, column, …]
//
// A column is a list, and may cross as a table itself. It is about half the text, and takes half the time to write and
// read.

import { ProtocolError } from '../errors.js'
import { MOST_TABLES } from '../protocol/messages.js'
import { CONVERSIONS, isIndex } from './classify.js'
import { isPlainRecord } from './grants.js'
import type { IsRaw } from './types.js'

/** Of fewer records no table is made: it would take longer. */
const FEWEST = 12
/** Beyond so many names JSON is read as fast. */
const MOST_NAMES = 32

const MOST_CELLS = 1 << 18
/** A record counts as so many cells, and a table as so many records, besides those it has. */
const CELLS_OF_RECORD = 4
const RECORDS_OF_TABLE = 8
/**
 * What is called in a conversion is not received as a function. An index is no column either: an engine keeps what has
 * some in other ways, and of many records that is a lot of memory.
 */
const isColumn = (name: unknown): name is string =>
  typeof name === 'string' && !CONVERSIONS.has(name) && !isIndex(name)

export type DataRecord = Readonly<Record<string, unknown>>

/** The tables of a message: how many there are, and how large. */
export class TableCount {
  #tables = 0
  #cells = 0

  /** Counts one more. @returns whether there may be that */
  allows(records: number, names: number): boolean {
    const cells = this.#cells + (records + RECORDS_OF_TABLE) * (names + CELLS_OF_RECORD)
    if (this.#tables === MOST_TABLES || cells > MOST_CELLS) return false
    this.#tables++
    this.#cells = cells
    return true
  }
}

/** The names that all of these have, in the same order, if they are records and data alone. None of it is read. */
export function namesOf(items: readonly unknown[]): string[] | undefined {
  const first = items[0]
  if (items.length < FEWEST || !isData(first)) return undefined
  const names = Object.keys(first)
  if (names.length === 0 || names.length > MOST_NAMES || !names.every(isColumn)) return undefined
  return items.every(item => isData(item) && hasJust(item, names)) ? names : undefined
}

const isData = (item: unknown): item is DataRecord =>
  isPlainRecord(item) && !(Symbol.iterator in item || Symbol.asyncIterator in item)

/** Names that are inherited are seen, too. */
function hasJust(record: DataRecord, names: readonly string[]): boolean {
  let i = 0
  for (const name in record) if (name !== names[i++]) return false
  return i === names.length
}

/** How many characters of JSON a table saves. */
export const savedBy = (records: number, names: readonly string[]): number =>
  (records - 1) * names.reduce((sum, { length }) => sum + length + 3, 0)

/** The columns of records that have these names. Undefined if reading them, which runs accessors, changes them. */
export function columnsOf(records: readonly DataRecord[], names: readonly string[]): unknown[][] | undefined {
  const columns = names.map((): unknown[] => [])
  for (const record of records) {
    let i = 0
    for (const name in record) {
      if (name !== names[i]) return undefined
      columns[i++]!.push(record[name])
    }
    if (i < names.length) return undefined
  }
  return columns
}

/** @throws ProtocolError for what is no table */
export function recordsOf(table: unknown, isRaw: IsRaw, count: TableCount): Record<string, unknown>[] {
  const [names, ...columns] = Array.isArray(table) && table.length <= MOST_NAMES + 1 ? table : []
  if (!isRaw(names) || names.length === 0 || !names.every(isColumn))
    throw new ProtocolError('a table without names')
  if (columns.length !== names.length || !columns.every(isRaw))
    throw new ProtocolError('a table without the columns')
  const length: number = columns[0].length
  if (columns.some(column => column.length !== length))
    throw new ProtocolError('a table whose columns differ in length')
  if (!count.allows(length, columns.length)) throw new ProtocolError('tables that are too large')
  // An engine makes of it objects as if it had read them in JSON: of one shape, with room for just these names.
  const blank: Record<string, unknown> = JSON.parse(`{${names.map(name => `${JSON.stringify(name)}:null`)}}`)
  const records = new Array<Record<string, unknown>>(length)
  for (let i = 0; i < length; i++) {
    const record = { ...blank }
    for (let c = 0; c < columns.length; c++) record[names[c]!] = columns[c][i]
    records[i] = record
  }
  return records
}
