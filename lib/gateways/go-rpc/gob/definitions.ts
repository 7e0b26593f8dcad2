// Definitions of types in a gob stream: values of the struct `wireType`, which every stream has.

import { BOOL, BYTES, COMPLEX, FLOAT, INT, STRING, UINT } from './basic-types.js'
import { ArrayType, MapType, SliceType, StructType, sliceOf } from './composite-types.js'
import { GobError } from './gob-error.js'
import type { GobType } from './gob-type.js'
import { INTERFACE } from './interface-type.js'
import { type OpaqueKind, opaqueType } from './opaque-type.js'

/** The types that every stream has, by number. */
export const BUILT_IN_TYPES: ReadonlyMap<number, GobType> = new Map(
  [BOOL, INT, UINT, FLOAT, BYTES, STRING, COMPLEX, INTERFACE].map(type => [type.builtInId!, type])
)
/** The least number of other types. */
export const MIN_TYPE_ID = 64

const struct = (name: string, fields: Readonly<Record<string, GobType>>): StructType =>
  new StructType(
    name,
    Object.entries(fields).map(([name, type]) => ({ name, type }))
  )

const COMMON = struct('CommonType', { Name: STRING, Id: INT })
const OPAQUE = struct('gobEncoderType', { CommonType: COMMON })

export const WIRE_TYPE = struct('wireType', {
  ArrayT: struct('arrayType', { CommonType: COMMON, Elem: INT, Len: INT }),
  SliceT: struct('sliceType', { CommonType: COMMON, Elem: INT }),
  StructT: struct('structType', {
    CommonType: COMMON,
    Field: sliceOf(struct('fieldType', { Name: STRING, Id: INT }))
  }),
  MapT: struct('mapType', { CommonType: COMMON, Key: INT, Elem: INT }),
  GobEncoderT: OPAQUE,
  BinaryMarshalerT: OPAQUE,
  TextMarshalerT: OPAQUE
})

interface Common {
  readonly CommonType: { readonly Name: string }
}

/** A value of `wireType` with the one field that was sent. */
export interface WireType {
  readonly ArrayT?: Common & { readonly Elem: number; readonly Len: number }
  readonly SliceT?: Common & { readonly Elem: number }
  readonly StructT?: Common & { readonly Field: readonly { readonly Name: string; readonly Id: number }[] }
  readonly MapT?: Common & { readonly Key: number; readonly Elem: number }
  readonly GobEncoderT?: Common
  readonly BinaryMarshalerT?: Common
  readonly TextMarshalerT?: Common
}

/** Fields of Go that are sent begin with a capital letter. So no name is one that means something to JavaScript. */
const EXPORTED = /^\p{Lu}/u

/** @param typeAt the type with a number, which may be defined later */
export function typeOfDefinition(wire: WireType, typeAt: (id: number) => GobType): GobType {
  if (Object.keys(wire).length !== 1) throw new GobError('a definition of a type that has not one kind')
  const { ArrayT, SliceT, StructT, MapT, ...opaque } = wire
  if (SliceT) return new SliceType(SliceT.CommonType.Name || '[]', typeAt(SliceT.Elem))
  if (MapT) return new MapType(MapT.CommonType.Name || 'map', typeAt(MapT.Key), typeAt(MapT.Elem))
  if (ArrayT) {
    const { CommonType, Elem, Len } = ArrayT
    if (!(Number.isSafeInteger(Len) && Len >= 0)) throw new GobError(`an array of length ${Len}`)
    return new ArrayType(CommonType.Name || `[${Len}]`, typeAt(Elem), Len)
  }
  if (StructT) {
    const { CommonType, Field } = StructT
    const fields = Field.map(({ Name, Id }) => ({ name: Name, type: typeAt(Id) }))
    const names = new Set(fields.map(({ name }) => name))
    if (names.size < fields.length || fields.some(({ name }) => !EXPORTED.test(name)))
      throw new GobError('a struct with fields of the same name, or of none')
    return new StructType(CommonType.Name || 'struct', fields, CommonType.Name)
  }
  const [[kind, { CommonType }]] = Object.entries(opaque) as [[OpaqueKind, Common]]
  return opaqueType(CommonType.Name, kind)
}
