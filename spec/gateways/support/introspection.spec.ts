// Specs of the lists and descriptions of methods.
import t from 'tap'
import { describeMethod, listMethods } from '../../../lib/gateways/support/introspection.js'
import { callSystemMethod } from '../../../lib/gateways/support/system-methods.js'
import { expose, pair, Service } from '../../../lib/index.js'
import { overMemory, rejectionOf } from '../../support/helpers.js'

class Branch {
  exposed_self = this
  exposed_grow() {}
}

class Garden extends Service {
  static override help = { water: 'Waters a plant' }
  exposed_water(_plant: string, _litres = 1) {}
  exposed_tools = { rake: () => 1, shed: { open: () => 2 }, 'a.b': () => 3, '': () => 4 }
  exposed_Plant = class {}
  exposed_size = 5
  exposed_branch = new Branch()
  exposed_inner = expose(
    new (class Inner {
      cut() {}
    })()
  )
  get exposed_secret(): object {
    throw new Error('a getter ran')
  }
}

t.test('methods are listed with those of nested objects, sorted', async t => {
  await overMemory(t, Garden, async ({ root }) => {
    const names = (await listMethods(root)).map(({ name }) => name)
    t.same(names, ['branch.grow', 'inner.cut', 'tools.rake', 'tools.shed.open', 'water'])
    t.match(await describeMethod(root, 'water'), {
      name: 'water',
      parameters: ['_plant', '_litres?'],
      help: 'Waters a plant'
    })
    t.match(await describeMethod(root, 'tools.shed.open'), { name: 'tools.shed.open', parameters: [] })
    for (const name of ['missing', 'tools', 'tools.missing', 'missing.rake', '', '.', 'a.'.repeat(20)])
      t.equal(await describeMethod(root, name), undefined, name)
  })
})

t.test('the list of methods is bounded', async t => {
  const wide = Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`o${i}`, { run() {}, i }]))
  let deep: object = { run() {} }
  for (let i = 0; i < 20; i++) deep = { [`d${i}`]: deep, run() {} }
  const methods = (prefix: string, count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, i) => [prefix + i, () => {}]))
  const many = { ...methods('m', 9000), more: methods('o', 9000), beyond: methods('b', 11_000) }
  await overMemory(
    t,
    () => expose({ wide }),
    async ({ root }) => {
      t.equal((await listMethods(root)).length, 254)
    }
  )
  await overMemory(
    t,
    () => expose({ deep }),
    async ({ root }) => {
      t.equal((await listMethods(root)).length, 7)
    }
  )
  await overMemory(
    t,
    () => expose(many),
    async ({ root }) => {
      const names = (await listMethods(root)).map(({ name }) => name)
      t.equal(names.length, 10_000)
      t.ok(names.includes('m8999') && names.includes('more.o999'))
    }
  )
})

t.test('a service may refuse to describe itself', async t => {
  await using joined = pair(Garden, { serving: { describe: false } })
  t.match(await rejectionOf(listMethods(joined.root)), { code: 'not-exposed' })
  t.equal(await describeMethod(joined.root, 'water'), undefined)
})

t.test('an error that is no answer to the question is passed on', async t => {
  const joined = pair(Garden)
  await joined.close()
  t.match(await rejectionOf(describeMethod(joined.root, 'water')), { name: 'SessionEndedError' })
})

t.test('system.* lists and describes', async t => {
  await overMemory(t, Garden, async ({ root }) => {
    t.same(await callSystemMethod(root, 'system.listMethods', [], ['rpc.discover']), [
      ...['branch.grow', 'inner.cut', 'rpc.discover'],
      ...['system.listMethods', 'system.methodHelp', 'system.methodSignature'],
      ...['tools.rake', 'tools.shed.open', 'water']
    ])
    t.equal(await callSystemMethod(root, 'system.methodHelp', ['water']), 'Waters a plant')
    t.equal(await callSystemMethod(root, 'system.methodHelp', ['tools.rake']), '')
    t.equal(await callSystemMethod(root, 'system.methodHelp', ['missing']), '')
    t.equal(await callSystemMethod(root, 'system.methodSignature', ['water']), 'signatures not supported')
    t.equal(callSystemMethod(root, 'system.other', []), undefined)
    for (const [name, ...args] of [
      ['listMethods', 1],
      ['methodHelp'],
      ['methodHelp', 5],
      ['methodHelp', 'a', 'b']
    ])
      t.match(await rejectionOf(callSystemMethod(root, `system.${name}`, args)!), { kind: 'bad-params' })
    t.equal(((await callSystemMethod(root, 'system.listMethods', [])) as string[]).length, 8)
  })
})
