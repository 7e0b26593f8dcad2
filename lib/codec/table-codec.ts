// Many records with the same names cross as a table: the names once, then the cells, column by column.
//
//   [names, column, column, …]
//
// A column is a list, and may cross as a table itself. It is about half the text, and takes half the time to write and
// read.

import { ProtocolError } from '../errors.js'
import { MOST_TABLES as MAX_TABLES } from '../protocol/messages.js'
import { CONVERSION_METHODS, isIndex } from './classify.js'
import { isPlainRecord } from './grants.js'
import type { IsRaw } from './types.js'

/** Of fewer records no table is made: it would take longer. */
const MIN_TABLE_RECORDS = 12
/** Beyond so many names JSON is read as fast. */
const MAX_TABLE_COLUMNS = 32

const MAX_TABLE_CELLS = 1 << 18
/** A record counts as so many cells, and a table as so many records, besides those it has. */
const CELLS_PER_RECORD = 4
const RECORDS_PER_TABLE = 8
/**
 * What is called in a conversion is not received as a function. An index is no column either: an engine keeps what has
 * some in other ways, and of many records that is a lot of memory.
 */
const isColumnName = (name: unknown): name is string =>
  typeof name === 'string' && !CONVERSION_METHODS.has(name) && !isIndex(name)

export type DataRecord = Readonly<Record<string, unknown>>

/** The tables of a message: how many there are, and how large. */
export class TableBudget {
  #tables = 0
  #cells = 0

  /** Counts one more. @returns whether there may be that */
  tryAdd(records: number, names: number): boolean {
    const cells = this.#cells + (records + RECORDS_PER_TABLE) * (names + CELLS_PER_RECORD)
    if (this.#tables === MAX_TABLES || cells > MAX_TABLE_CELLS) return false
    this.#tables++
    this.#cells = cells
    return true
  }
}

/** The names that all of these have, in the same order, if they are records and data alone. None of it is read. */
export function columnNames(items: readonly unknown[]): string[] | undefined {
  const first = items[0]
  if (items.length < MIN_TABLE_RECORDS || !isDataRecord(first)) return undefined
  const names = Object.keys(first)
  if (names.length === 0 || names.length > MAX_TABLE_COLUMNS || !names.every(isColumnName)) return undefined
  return items.every(item => isDataRecord(item) && hasExactly(item, names)) ? names : undefined
}

const isDataRecord = (item: unknown): item is DataRecord =>
  isPlainRecord(item) && !(Symbol.iterator in item || Symbol.asyncIterator in item)

/** Names that are inherited are seen, too. */
function hasExactly(record: DataRecord, names: readonly string[]): boolean {
  let i = 0
  for (const name in record) if (name !== names[i++]) return false
  return i === names.length
}

/** How many characters of JSON a table saves. */
export const charactersSaved = (records: number, names: readonly string[]): number =>
  (records - 1) * names.reduce((sum, { length }) => sum + length + 3, 0)

/** The columns of records that have these names. Undefined if reading them, which runs accessors, changes them. */
export function readColumns(
  records: readonly DataRecord[],
  names: readonly string[]
): unknown[][] | undefined {
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
export function decodeTable(
  table: unknown,
  isRawArray: IsRaw,
  budget: TableBudget
): Record<string, unknown>[] {
  const [names, ...columns] = Array.isArray(table) && table.length <= MAX_TABLE_COLUMNS + 1 ? table : []
  if (!isRawArray(names) || names.length === 0 || !names.every(isColumnName))
    throw new ProtocolError('a table without names')
  if (columns.length !== names.length || !columns.every(isRawArray))
    throw new ProtocolError('a table without the columns')
  const length: number = columns[0].length
  if (columns.some(column => column.length !== length))
    throw new ProtocolError('a table whose columns differ in length')
  if (!budget.tryAdd(length, columns.length)) throw new ProtocolError('tables that are too large')
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
