// Specs of giving back the references in a value.
import t from 'tap'
import { giveBack } from '../../../lib/gateways/support/give-back.js'
import { expose, registerType, Service } from '../../../lib/index.js'
import { overMemory } from '../../support/helpers.js'
import type { Untyped } from '../../support/wire.js'

class Odd {
  get values(): never {
    throw new Error('a getter ran')
  }
}
registerType(Odd, {
  name: 'Odd of give-back.spec',
  encode: () => null,
  decode: () =>
    Object.defineProperty(new Odd(), 'broken', {
      enumerable: true,
      get() {
        throw new Error('broken')
      }
    })
})

function* numbers() {
  yield 1
}

class Everything extends Service {
  exposed_all(): Untyped {
    const cycle: Untyped = { fn: () => 1 }
    cycle.self = cycle
    return {
      list: [expose({ a() {} }), () => {}],
      map: new Map<unknown, unknown>([[() => {}, expose({})]]),
      set: new Set([() => {}]),
      streams: [new ReadableStream(), new WritableStream(), new TransformStream()],
      flows: [numbers(), Promise.resolve(5), Promise.reject(new Error('no')), new AbortController().signal],
      data: [new Uint8Array(3), new Date(), null, 'text', 1n],
      odd: new Odd(),
      cycle
    }
  }
  exposed_numbers(): Untyped {
    return numbers()
  }
  exposed_function(): Untyped {
    return () => {}
  }
}

t.test('what a value refers to is given back at once', async t => {
  await overMemory(t, Everything, async ({ root, session }) => {
    giveBack(await (root as Untyped).all())
    giveBack(await (root as Untyped).numbers())
    giveBack(await (root as Untyped).function())
    giveBack('text')
    t.equal(session.stats.imports, 0)
  })
})
