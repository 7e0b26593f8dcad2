// The types of gob that have parts: arrays, slices, maps and structs.

import { safeString } from '../../../util/describe.js'
import { STRING } from './basic-types.js'
import { GobError } from './gob-error.js'
import { GobType, type TypeIds, typesFrom } from './gob-type.js'
import type { ValueReader } from './value-reader.js'
import type { ValueWriter } from './value-writer.js'

/** The items of a list, a Set or a typed array; undefined for other values. */
function itemsOf(value: unknown): ArrayLike<unknown> | undefined {
  if (Array.isArray(value)) return value
  if (value instanceof Set) return [...value]
  return ArrayBuffer.isView(value) && !(value instanceof DataView)
    ? (value as unknown as ArrayLike<unknown>)
    : undefined
}

function readItems(reader: ValueReader, elem: GobType, count: number): unknown[] {
  reader.take()
  reader.enter()
  const items: unknown[] = []
  // An item takes a byte at least: the end of the message bounds the loop.
  while (items.length < count) items.push(elem.read(reader))
  reader.leave()
  return items
}

function writeItems(writer: ValueWriter, elem: GobType, items: ArrayLike<unknown>): void {
  writer.writeUint(items.length)
  for (let i = 0; i < items.length; i++) {
    writer.enter(i)
    elem.write(writer, items[i])
    writer.leave()
  }
}

export class SliceType extends GobType {
  constructor(
    name: string,
    readonly elem: GobType
  ) {
    super(name)
  }

  override get parts(): readonly GobType[] {
    return [this.elem]
  }

  read(reader: ValueReader): unknown[] {
    return readItems(reader, this.elem, reader.readCount())
  }

  write(writer: ValueWriter, value: unknown): void {
    writeItems(writer, this.elem, value === null ? [] : (itemsOf(value) ?? writer.refuse(value, this.name)))
  }

  zero(reader: ValueReader): unknown[] {
    reader.take()
    return []
  }

  override define(id: number, ids: TypeIds): object {
    return { SliceT: { CommonType: { Name: this.name, Id: id }, Elem: ids(this.elem) } }
  }
}

/** An array of Go, which has a fixed length. */
export class ArrayType extends GobType {
  constructor(
    name: string,
    readonly elem: GobType,
    readonly length: number
  ) {
    super(name)
  }

  override get parts(): readonly GobType[] {
    return [this.elem]
  }

  override get zeroParts(): readonly GobType[] {
    return [this.elem]
  }

  read(reader: ValueReader): unknown[] {
    const count = reader.readCount()
    if (count !== this.length) throw new GobError(`${count} items of a ${this.name}`)
    return readItems(reader, this.elem, count)
  }

  write(writer: ValueWriter, value: unknown): void {
    const items = itemsOf(value)
    if (items?.length !== this.length) writer.refuse(value, this.name)
    writeItems(writer, this.elem, items)
  }

  zero(reader: ValueReader): unknown[] {
    reader.take()
    reader.enter()
    const items: unknown[] = []
    while (items.length < this.length) items.push(this.elem.zero(reader))
    reader.leave()
    return items
  }

  override writeZero(writer: ValueWriter): void {
    writer.writeUint(this.length)
    for (let i = 0; i < this.length; i++) this.elem.writeZero(writer)
  }

  override define(id: number, ids: TypeIds): object {
    const common = { Name: this.name, Id: id }
    return { ArrayT: { CommonType: common, Elem: ids(this.elem), Len: this.length } }
  }
}

/** A map of Go: a plain object if its keys are strings, else a Map. */
export class MapType extends GobType {
  constructor(
    name: string,
    readonly key: GobType,
    readonly elem: GobType
  ) {
    super(name)
  }

  override get parts(): readonly GobType[] {
    return [this.key, this.elem]
  }

  get #hasStrings(): boolean {
    return this.key.resolved === STRING
  }

  read(reader: ValueReader): object {
    reader.take()
    reader.enter()
    const entries: [unknown, unknown][] = []
    for (let left = reader.readCount(); left > 0; left--)
      entries.push([this.key.read(reader), this.elem.read(reader)])
    reader.leave()
    // It defines members, also one with the name `__proto__`.
    return this.#hasStrings ? Object.fromEntries(entries as [string, unknown][]) : new Map(entries)
  }

  write(writer: ValueWriter, value: unknown): void {
    const entries = this.#entriesOf(value) ?? writer.refuse(value, this.name)
    writer.writeUint(entries.length)
    for (const [key, item] of entries) {
      writer.enter(typeof key === 'number' ? key : safeString(key))
      this.key.write(writer, key)
      this.elem.write(writer, item)
      writer.leave()
    }
  }

  zero(reader: ValueReader): object {
    reader.take()
    return this.#hasStrings ? {} : new Map()
  }

  override define(id: number, ids: TypeIds): object {
    const common = { Name: this.name, Id: id }
    return { MapT: { CommonType: common, Key: ids(this.key), Elem: ids(this.elem) } }
  }

  #entriesOf(value: unknown): [unknown, unknown][] | undefined {
    if (value === null) return []
    if (value instanceof Map) return [...value]
    return isRecord(value) ? Object.entries(value).filter(([, item]) => item !== undefined) : undefined
  }
}

export interface Field {
  readonly name: string
  readonly type: GobType
}

export class StructType extends GobType {
  /** The types whose zeros are in the zero of this type. */
  #zeroTypes: ReadonlySet<GobType> | undefined
  readonly #names: ReadonlySet<string>

  constructor(
    name: string,
    readonly fields: readonly Field[],
    /** The name in its definition. */
    private readonly definedName = name
  ) {
    super(name)
    this.#names = new Set(fields.map(field => field.name))
  }

  override get parts(): readonly GobType[] {
    return this.fields.map(({ type }) => type)
  }

  override get zeroParts(): readonly GobType[] {
    return this.parts
  }

  override get isNumberedFirst(): boolean {
    return true
  }

  /** Fields that were not sent are zero. */
  read(reader: ValueReader): Record<string, unknown> {
    reader.take()
    reader.enter()
    const value: Record<string, unknown> = {}
    let next = 0
    for (let delta = reader.readCount(); delta !== 0; delta = reader.readCount()) {
      const index = this.#fieldAt(next - 1 + delta)
      for (; next < index; next++) this.#addZero(value, next, reader)
      this.#add(value, next++, reader)
    }
    for (; next < this.fields.length; next++) this.#addZero(value, next, reader)
    reader.leave()
    return value
  }

  /** As `read`, without the fields that were not sent. */
  readSent(reader: ValueReader): Record<string, unknown> {
    const value: Record<string, unknown> = {}
    let index = -1
    for (let delta = reader.readCount(); delta !== 0; delta = reader.readCount()) {
      index = this.#fieldAt(index + delta)
      this.#add(value, index, reader)
    }
    return value
  }

  /** Fields that are zero are left out. */
  write(writer: ValueWriter, value: unknown): void {
    if (!isRecord(value)) writer.refuse(value, this.name)
    for (const key of Object.keys(value))
      if (!this.#names.has(key)) this.#refuseField(writer, key, value[key])
    let previous = -1
    for (const [index, { name, type }] of this.fields.entries()) {
      const field = Object.hasOwn(value, name) ? value[name] : undefined
      if ((field ?? null) === null) continue
      const start = writer.length
      writer.writeUint(index - previous)
      const valueStart = writer.length
      writer.enter(name)
      type.write(writer, field)
      writer.leave()
      const isZero = writer.length === valueStart + 1 && writer.lastByte === 0
      if (isZero && !this.#isPointer(type)) writer.length = start
      else previous = index
    }
    writer.writeByte(0)
  }

  zero(reader: ValueReader): object {
    reader.take()
    reader.enter()
    const value: Record<string, unknown> = {}
    for (let i = 0; i < this.fields.length; i++) this.#addZero(value, i, reader)
    reader.leave()
    return value
  }

  override readAlone(reader: ValueReader): object {
    return this.read(reader)
  }

  override writeAlone(writer: ValueWriter, value: unknown): void {
    this.write(writer, value)
  }

  override writeZeroAlone(writer: ValueWriter): void {
    this.writeZero(writer)
  }

  override define(id: number, ids: TypeIds): object {
    const Field = this.fields.map(({ name, type }) => ({ Name: name, Id: ids(type) }))
    return { StructT: { CommonType: { Name: this.definedName, Id: id }, Field } }
  }

  /** @returns the index */
  #fieldAt(index: number): number {
    if (index >= this.fields.length) throw new GobError(`the field ${index} of a ${this.name}`)
    return index
  }

  #add(value: Record<string, unknown>, index: number, reader: ValueReader): void {
    const { name, type } = this.fields[index]!
    reader.take(name.length)
    value[name] = type.read(reader)
  }

  /** A pointer that was not sent is nil. */
  #addZero(value: Record<string, unknown>, index: number, reader: ValueReader): void {
    const { name, type } = this.fields[index]!
    reader.take(name.length)
    value[name] = this.#isPointer(type) ? null : type.zero(reader)
  }

  /** Whether a field of this type must be a pointer in Go: its type has this one as a part. */
  #isPointer({ resolved: type }: GobType): boolean {
    return type instanceof StructType && type.#hasZeroOf(this)
  }

  #hasZeroOf(type: GobType): boolean {
    this.#zeroTypes ??= typesFrom(this, ({ zeroParts }) => zeroParts)
    return this.#zeroTypes.has(type)
  }

  /** A member that has nothing in it may be one that the type leaves out. */
  #refuseField(writer: ValueWriter, name: string, value: unknown): void {
    if (isEmpty(value)) return
    writer.enter(name)
    writer.fail(`is not a field of ${this.name}`)
  }
}

/** Whether a value is `undefined` or `null`, or has no members. */
function isEmpty(value: unknown): boolean {
  if ((value ?? null) === null) return true
  if (value instanceof Map || value instanceof Set) return value.size === 0
  return (Array.isArray(value) || isRecord(value)) && Object.keys(value).length === 0
}

/** Whether a type is a struct without fields: it stands for no argument, and for no result. */
export const isNothing = (type: GobType): boolean => type instanceof StructType && type.fields.length === 0

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> => {
  if (typeof value !== 'object' || value === null) return false
  const prototype = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/** `[]elem` */
export const sliceOf = (elem: GobType): SliceType => new SliceType(`[]${elem.name}`, elem)

/** `[length]elem` */
export const arrayOf = (elem: GobType, length: number): ArrayType =>
  new ArrayType(`[${length}]${elem.name}`, elem, length)

/** `map[key]elem` */
export const mapOf = (key: GobType, elem: GobType): MapType =>
  new MapType(`map[${key.name}]${elem.name}`, key, elem)

/** A struct without a name. */
export function structOf(fields: readonly Field[]): StructType {
  const texts = fields.map(({ name, type }) => `${name} ${type.name}`)
  return new StructType(texts.length === 0 ? 'struct {}' : `struct { ${texts.join('; ')} }`, fields, '')
}
