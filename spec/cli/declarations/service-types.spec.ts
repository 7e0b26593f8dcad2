// Specs of the declarations of a service whose words are hostile.
import fc from 'fast-check'
import t from 'tap'
import ts from 'typescript'
import { parameterNames, propertyName, UniqueNames } from '../../../lib/cli/declarations/names.js'
import { serviceDeclarations } from '../../../lib/cli/declarations/service-types.js'
import type { ServiceObject } from '../../../lib/cli/described-service.js'
import { toPrintableLines } from '../../../lib/util/printable.js'
import { signatureOf } from '../../../lib/util/signature.js'
import { diagnosticsOfTypes } from '../../support/type-check.js'

t.test('names are names', t => {
  t.same(parameterNames(['a', 'größe', 'new', 'this', 'a b', 'a', '名', 'arg6', '']), [
    ...['a', 'größe', 'arg2', 'arg3', 'arg4', 'a_2', 'arg6', 'arg6_2', 'arg8']
  ])
  t.same(['a$1', '__proto__', 'new', 'constructor', '1a', 'a-b', 'ä', ''].map(propertyName), [
    ...['a$1', '__proto__', '"new"', '"constructor"', '"1a"', '"a-b"', '"ä"', '""']
  ])
  const names = new UniqueNames()
  t.same(
    ['a_2', 'a', 'a', 'a', 'a_2'].map(name => names.claim(name)),
    ['a_2', 'a', 'a_3', 'a_4', 'a_2_2']
  )
  t.same(
    ['tree-node', 'treeNode', 'any', '9', '', '$x', 'x'.repeat(99)].map(name => names.claimType(name)),
    [...['TreeNode', 'TreeNode_2', 'Any', 'Type9', 'Type', 'Type$x', `X${'x'.repeat(59)}`]]
  )
  t.end()
})

const hostile = fc.oneof(
  fc.constantFrom(
    '*/',
    '*/ export const x = 1 /*',
    '"',
    '\\',
    '`',
    'a\nb',
    '): never; x(',
    '}',
    '//',
    '_x',
    'exposed_a'
  ),
  fc.string({ unit: 'binary' }),
  fc.string({ unit: 'grapheme-ascii' })
)
const member = fc.record({
  name: hostile,
  kind: fc.constantFrom('function', 'class', 'object', 'value', 'accessor', 'other'),
  help: hostile,
  parameters: fc.oneof(fc.array(hostile), fc.constant(undefined)),
  input: fc.oneof(
    fc.constant(undefined),
    fc.record({
      prefixItems: fc.array(fc.record({ description: hostile, const: hostile })),
      minItems: fc.nat(3)
    })
  ),
  output: fc.oneof(
    fc.constant(undefined),
    hostile.map(name => ({
      $defs: { [name]: { description: name, properties: { [name]: true } } },
      $ref: `#/$defs/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`
    }))
  )
})
const objects = fc.array(
  fc.record({ path: fc.array(hostile, { minLength: 1, maxLength: 2 }), members: fc.array(member) })
)

t.test('no word of a service is anything but a name, a comment or a literal', t => {
  fc.assert(
    fc.property(hostile, fc.array(member), objects, (rootName, members, others) => {
      const described = [{ path: [] as string[], members }, ...others].map(
        (object): ServiceObject => ({
          path: object.path,
          members: [...new Map(object.members.map(one => [one.name, one])).values()].map(
            ({ parameters, input, output, ...one }) => ({
              ...one,
              signature: signatureOf({ parameters, input, output })
            })
          )
        })
      )
      const distinct = [...new Map(described.map(object => [JSON.stringify(object.path), object])).values()]
      const text = toPrintableLines(serviceDeclarations(distinct, rootName))
      const diagnostics = diagnosticsOfTypes(text)
      if (diagnostics.length > 0) throw new Error(`${diagnostics.join('; ')} in\n${text}`)
      const { statements } = ts.createSourceFile('a.ts', text, ts.ScriptTarget.ESNext)
      const interfaces = statements.filter(ts.isInterfaceDeclaration)
      const aliases = statements.filter(ts.isTypeAliasDeclaration)
      if (interfaces.length + aliases.length !== statements.length)
        throw new Error(`another statement in\n${text}`)
      const shown = distinct.filter(object => object.path.length === 0 || object.members.length > 0)
      for (const [i, { members }] of shown.entries())
        if (interfaces[i]!.members.length !== members.length) throw new Error(`another member in\n${text}`)
    }),
    { numRuns: 60 }
  )
  t.end()
})
