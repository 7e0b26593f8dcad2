// Encodes an array of records with the same names as a table: the names once, then the cells, column by column.
//
//   [names, column, column, …]
//
// A column is an array, and may be a table itself. A table takes about half the text, and two thirds of the time of JSON.
// Five rules keep a peer from abusing tables:
// 1. A message has at most MAX_TABLES tables, and MAX_TABLE_CELLS cells: a short text must not make a lot of work.
// 2. A record counts as 4 cells beside its own, and a table as 8 records, so that empty ones are not free.
// 3. A table has at most 32 columns, all of the same length.
// 4. No column is an array index: engines store objects with indexes in another, larger form.
// 5. No column is a conversion method (`then`, `toString`, …), and no table is beside a cycle, which could share a column.

import { ProtocolError } from '../errors.js'
import { MAX_TABLES } from '../protocol/messages.js'
import { CONVERSION_METHODS } from '../util/conversion-methods.js'
import { isIndex } from './classify.js'
import { isPlainRecord } from './grants.js'
import type { IsRawArray } from './types.js'

/** A table of 30 records takes as long as the array, and of 200 some three quarters. */
const MIN_TABLE_RECORDS = 200
/** With more names, JSON is as fast. */
const MAX_TABLE_COLUMNS = 32

const MAX_TABLE_CELLS = 1 << 18
const CELLS_PER_RECORD = 4
const RECORDS_PER_TABLE = 8
const isColumnName = (name: unknown): name is string =>
  typeof name === 'string' && !CONVERSION_METHODS.has(name) && !isIndex(name)

export type DataRecord = Readonly<Record<string, unknown>>

/** What the tables of a message may take: rules 1 and 2. */
export class TableBudget {
  #tables = 0
  #cells = 0

  /** Counts one more table. @returns whether the message may have it */
  tryAdd(records: number, names: number): boolean {
    const cells = this.#cells + (records + RECORDS_PER_TABLE) * (names + CELLS_PER_RECORD)
    if (this.#tables === MAX_TABLES || cells > MAX_TABLE_CELLS) return false
    this.#tables++
    this.#cells = cells
    return true
  }
}

/** The names of the columns, if all items are records with the same names in the same order. Reads no values. */
export function columnNames(items: readonly unknown[]): string[] | undefined {
  const first = items[0]
  if (items.length < MIN_TABLE_RECORDS || !isDataRecord(first)) return undefined
  const names = Object.keys(first)
  if (names.length === 0 || names.length > MAX_TABLE_COLUMNS || !names.every(isColumnName)) return undefined
  return items.every(item => isDataRecord(item) && hasExactly(item, names)) ? names : undefined
}

const isDataRecord = (item: unknown): item is DataRecord =>
  isPlainRecord(item) && !(Symbol.iterator in item || Symbol.asyncIterator in item)

/** Inherited names count, too. */
function hasExactly(record: DataRecord, names: readonly string[]): boolean {
  let i = 0
  for (const name in record) if (name !== names[i++]) return false
  return i === names.length
}

/** Reads the columns of records with these names. Undefined if accessors change the records meanwhile. */
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

/** @throws ProtocolError for an invalid table */
export function decodeTable(
  table: unknown,
  isRawArray: IsRawArray,
  budget: TableBudget
): Record<string, unknown>[] {
  const [names, ...columns] = Array.isArray(table) && table.length <= MAX_TABLE_COLUMNS + 1 ? table : []
  if (!isRawArray(names) || names.length === 0 || !names.every(isColumnName))
    throw new ProtocolError('a table without names')
  if (columns.length !== names.length || !columns.every(isRawArray))
    throw new ProtocolError('a table without a column for each name')
  const length: number = columns[0].length
  if (columns.some(column => column.length !== length))
    throw new ProtocolError('a table whose columns differ in length')
  if (!budget.tryAdd(length, columns.length)) throw new ProtocolError('tables that are too large')
  // Copies of a parsed object have one shape, with room for these names only.
  const blank: Record<string, unknown> = JSON.parse(`{${names.map(name => `${JSON.stringify(name)}:null`)}}`)
  const records = new Array<Record<string, unknown>>(length)
  for (let i = 0; i < length; i++) {
    const record = { ...blank }
    for (let c = 0; c < columns.length; c++) record[names[c]!] = columns[c][i]
    records[i] = record
  }
  return records
}
