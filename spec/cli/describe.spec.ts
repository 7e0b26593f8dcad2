// Tests `netref describe`: what it prints of a service, and that the types it writes are those of the service.
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { z } from 'zod'
import { formatPath, parsePath } from '../../lib/cli/path.js'
import { expose, exposed, type Server, Service, serve } from '../../lib/index.js'
import { fails, netref, prints } from '../support/command-line.js'
import { assertClean, waitUntil } from '../support/helpers.js'
import { diagnosticsOf } from '../support/type-check.js'

interface Branch {
  label: string
  branches: Branch[]
}
const Branch: z.ZodType<Branch> = z.object({
  label: z.string().describe('What is written on it'),
  branches: z.array(z.lazy(() => Branch))
})
const Plant = z
  .object({ name: z.string(), height: z.number().optional() })
  .meta({ id: 'Plant', description: 'A plant' })

class Tools {
  count = 2
  rake(metres: number) {
    return metres
  }
}

class Garden extends Service {
  static override help = { add: 'Adds two numbers\nand returns the sum' }
  @exposed get size() {
    return 5
  }
  @exposed({
    schema: z.tuple([z.number(), z.number().describe('zero by default').optional()]),
    returns: z.number()
  })
  add(a: number, b = 0) {
    return a + b
  }
  @exposed({ schema: z.tuple([Branch]), returns: Branch }) grow(branch: Branch) {
    return branch
  }
  @exposed({
    schema: z.tuple([Plant, z.enum(['sun', 'shade'])], z.int()),
    returns: z.array(Plant).describe('all plants')
  })
  plant(plant: z.infer<typeof Plant>, _where: 'sun' | 'shade', ..._days: number[]) {
    return [plant]
  }
  @exposed({ returns: z.union([z.string(), z.null()]) }) find(name: string, exact = false) {
    return exact || name === '' ? null : name
  }
  @exposed water(...litres: number[]) {
    return litres.length
  }
}
class Shed extends Service {
  exposed_Garden = class {}
  exposed_tools = expose(new Tools(), { read: ['count', 'rake', 'size'] })
  'exposed_open!' = () => true
  'exposed_a.b' = () => 1
  exposed_max = Math.max
  exposed_nested = { deep: { run: (to: string) => to } }
  exposed__hidden() {
    return 1
  }
  exposed_list = [1, 2]
  exposed_none: unknown[] = []
  exposed_blank = {}
  exposed_rope = { length: 5 }
  exposed_now = new Date()
  exposed_many = Object.fromEntries(Array.from({ length: 11_000 }, (_, i) => [`m${i}`, () => i]))
}

async function withService(
  t: Test,
  service: Parameters<typeof serve>[0],
  use: (url: string) => Promise<void>
) {
  const server: Server = await serve(service, { port: 0 })
  await use(server.url)
  await waitUntil(() => server.sessions.size === 0)
  await assertClean(t, ...server.sessions)
  await server.close()
}

t.test('it prints a line for each member, with types and help texts', async t => {
  await withService(t, Garden, async url => {
    const text = [
      'size  accessor',
      'add(a: number, b?: number): number',
      '    Adds two numbers',
      '    and returns the sum',
      'grow(branch: Schema0): GrowResult',
      'plant(plant: Plant, _where: "sun" | "shade", ..._days: number[]): Plant[]',
      'find(name, exact?): string | null',
      'water(...litres)',
      '',
      'type Schema0 = {',
      '  /** What is written on it */',
      '  label: string',
      '  branches: Schema0[]',
      '}',
      '',
      'type GrowResult = {',
      '  /** What is written on it */',
      '  label: string',
      '  branches: GrowResult[]',
      '}',
      '',
      '/** A plant */',
      'type Plant = { name: string; height?: number }'
    ]
    await prints(t, ['describe', url], `${text.join('\n')}\n`)
  })
  await withService(t, Shed, async url => {
    const members = [
      'Garden()  class',
      'open!()',
      '["a.b"]()',
      'max(...args)',
      '_hidden()',
      'list  list',
      'none  list',
      'blank  object',
      'rope.length  value',
      'now  object',
      'many  object',
      'tools.count  value',
      'tools.rake(metres)',
      'nested.deep.run(to)'
    ]
    t.same((await netref(['describe', url])).stdout.split('\n').sort(), ['', ...members].sort())
    await prints(t, ['describe', url, 'nested.deep'], 'run(to)\n')
    await prints(t, ['describe', url, 'nested.deep.run'], 'run(to)\n')
    await prints(t, ['describe', url, 'Garden'], 'Garden()  class\n')
    await prints(t, ['describe', url, 'blank'], '')
    await fails(t, ['describe', url, 'now'], 1, 'Error: now is data: netref call URL now prints it\n')
    await fails(t, ['describe', url, 'now.then'], 1, /"then" cannot be read from Date/)
    t.match((await netref(['describe', url, 'nested.deep'], { tty: true })).stdout, '\x1b[1mrun\x1b[0m(to)\n')
  })
})

t.test('a path is printed as it is parsed', t => {
  t.equal(formatPath(['a', 'b c', 'd.e', 'f', '"', '0', '']), 'a["b c"]["d.e"].f["\\""].0[""]')
  fc.assert(
    fc.property(fc.array(fc.string()), names => {
      t.strictSame(parsePath(formatPath(names)), names)
    })
  )
  t.end()
})

t.test('--openrpc prints a document of OpenRPC', t =>
  withService(t, Garden, async url => {
    const { code, stdout } = await netref(['describe', url, '--openrpc'])
    const { openrpc, methods, components } = JSON.parse(stdout)
    t.match(
      { code, openrpc, methods: methods.map(({ name }: { name: string }) => name) },
      {
        ...{ code: 0, openrpc: '1.3.2', methods: ['add', 'find', 'grow', 'plant', 'water'] }
      }
    )
    t.match(components.schemas, { Plant: { type: 'object' } })
  })
)

t.test('the command line is checked', t =>
  withService(t, Garden, async url => {
    await fails(t, ['describe'], 2, /URL is missing/)
    await fails(t, ['describe', url, '--types', '--openrpc'], 2, /--openrpc and --types exclude each other/)
    await fails(t, ['describe', url, 'a', 'b'], 2, /unexpected argument b/)
    await fails(t, ['describe', url, 'gras'], 1, /root has no accessible member gras: its members are/)
  })
)

t.test('--types writes types that compile, and that netrefs map as those of the service', t =>
  withService(t, Garden, async url => {
    const { code, stdout, stderr } = await netref(['describe', url, '--types'])
    t.same([code, stderr], [0, ''])
    t.match(
      stdout,
      '  /**\n   * Adds two numbers\n   * and returns the sum\n   * @param b zero by default\n   */\n  add('
    )
    t.match(stdout, '  /** @returns all plants */\n  plant(')
    const user = `
import { connect } from '../../lib/index.js'
import type { Service } from './service.js'
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const same = <A, B>(_: Same<A, B>) => {}
const { root } = connect<Service>('ws://localhost')
const sum = await root.add(1, 2)
same<typeof sum, number>(true)
await root.add(1)
// @ts-expect-error: it takes numbers
await root.add('1', 2)
// @ts-expect-error: it takes one at least
await root.add()
// @ts-expect-error: it takes two at most
await root.add(1, 2, 3)
const grown = await root.grow({ label: 'a', branches: [{ label: 'b', branches: [] }] })
same<typeof grown.branches[0]['branches'][0]['label'], string>(true)
// @ts-expect-error: a branch of a branch has a label
await root.grow({ label: 'a', branches: [{ branches: [] }] })
const plants = await root.plant({ name: 'moss' }, 'shade', 1, 2)
same<typeof plants[0]['height'], number | undefined>(true)
const first: string = await root.plant({ name: 'moss', height: 1 }, 'sun')[0]!.name
// @ts-expect-error: there is no such place
await root.plant({ name: 'moss' }, 'roof')
// @ts-expect-error: days are numbers
await root.plant({ name: 'moss' }, 'sun', 'today')
const found = await root.find(first)
same<typeof found, string | null>(true)
const litres = await root.water(1, 'two', () => {})
same<typeof litres, unknown>(true)
same<Awaited<typeof root.size>, unknown>(true)
await root.find('x')
// @ts-expect-error: it has no such member
root.mow
`
    t.same(diagnosticsOf({ 'service.ts': stdout, 'user.ts': user }), [])
    t.match(diagnosticsOf({ 'service.ts': stdout, 'user.ts': user.replaceAll('ts-expect-error', '') }), {
      length: 7
    })
    t.same(diagnosticsOf({ 'service.d.ts': stdout, 'user.ts': user }), [], 'as a declaration file')
  })
)

t.test('--types of objects in objects, classes and odd names', t =>
  withService(t, Shed, async url => {
    const { stdout } = await netref(['describe', url, '--types'])
    const user = `
import { connect, Netref } from '../../lib/index.js'
import type { Service } from './service.js'
const { root } = connect<Service>('ws://localhost')
const ran: unknown = await root.nested.deep.run('x')
const raked: unknown = await root.tools.rake(2)
const count: unknown = await root.tools.count
const open: unknown = await root['open!']()
await root['a.b']()
const hidden: unknown = await root._hidden()
const max: unknown = await root.max(1, 2, 3)
const made = await new root.Garden()
const list: readonly unknown[] = await root.list
const none: readonly unknown[] = await root.none
const length: unknown = await root.rope.length
const deep = await root.nested.deep
const again: unknown = await deep.run('y')
// @ts-expect-error: it is no member
root.nested.deeper
// @ts-expect-error: the prefix is not of the name
root.exposed__hidden
void [ran, raked, count, open, hidden, max, Netref.get(made, 'x'), list, none, length, again]
`
    t.same(diagnosticsOf({ 'service.ts': stdout, 'user.ts': user }), [])
    const nested = (await netref(['describe', url, 'nested', '--types'])).stdout
    t.match(
      nested,
      'export interface Nested {\n  readonly deep: Deep\n}\n\nexport interface Deep {\n  run(to: unknown): unknown\n}\n'
    )
  })
)

t.test('a service that refuses `describe`, and one without members', async t => {
  await using server = await serve(Garden, { port: 0, describe: false })
  for (const option of [[], ['--types'], ['--openrpc']])
    await fails(t, ['describe', server.url, ...option], 1, /^Error: .*`describe: false`/)
  await withService(t, {}, async url => {
    await prints(t, ['describe', url], '')
    t.match((await netref(['describe', url, '--types'])).stdout, 'export interface Service {\n}\n')
  })
})
