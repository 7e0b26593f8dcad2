// Specs of calls of Pyro4 and Pyro5: requests, results, exceptions, batches, attributes, and objects.
import { deflateSync } from 'node:zlib'
import t from 'tap'
import { callSession, expose, Service } from '../../../lib/index.js'
import { waitUntil } from '../../support/helpers.js'
import { pyroMessage, RawPyro, SERPENT, Type, VERSIONS, withPyro } from '../../support/pyro.js'
import type { Untyped } from '../../support/wire.js'

const gates = new Map<number, (value: unknown) => void>()

class Tutorial extends Service {
  received: unknown[] = []
  exposed_title = 'tutorial'
  exposed_config = { colour: 'red' }
  exposed_maths = { half: (x: number) => x / 2, deep: { double: (x: number) => 2 * x } }
  exposed_Point = class {}
  exposed_echo = (value: unknown) => value
  get exposed_now() {
    return 42
  }
  exposed_add(a: number, b = 10) {
    return 100 * a + b
  }
  exposed_push(value: unknown) {
    this.received.push(value)
    return expose({})
  }
  exposed_pushed() {
    return this.received.splice(0)
  }
  exposed_wait(id: number) {
    return new Promise(resolve => gates.set(id, resolve))
  }
  exposed_fail(): never {
    throw new RangeError('too much')
  }
  exposed_custom(): never {
    const fields = {
      code: 17,
      left: { a: 1 },
      map: new Map([[{}, 1]]),
      args: 1,
      'no-name': 1,
      open: expose({})
    }
    throw Object.assign(new Error('poor\nyou'), { name: 'InsufficientFunds', ...fields })
  }
  exposed_text(): never {
    throw 'a text'
  }
  exposed_reference(): Untyped {
    return { rows: [1, expose({})] }
  }
  exposed_identity = () => callSession()!.gateway
}

for (const version of VERSIONS) {
  t.test(`Pyro${version}: the handshake describes the object`, async t => {
    await withPyro(t, Tutorial, async served => {
      const client = await RawPyro.dial(served.port, version)
      const [ok] = await client.shakeHands(`{'handshake':'hello','object':'tutorial'}`, { seq: 7 })
      t.match(ok, { type: Type.ok, flags: version === 4 ? 16 : 0, seq: 7, serializer: 1 })
      const methods = 'add custom echo fail identity maths push pushed reference text wait'
      t.equal(
        ok!.text,
        `${SERPENT}{"handshake":"hello","meta":{"methods":${JSON.stringify(methods.split(' '))},` +
          `"attrs":["title","config","now"],"oneway":[]}}`
      )
      t.equal([...served.server.sessions][0]!.gateway, 'pyro')
      await client.endClean(t, served)
    })
  })

  t.test(`Pyro${version}: calls, with arguments by position and by name`, async t => {
    await withPyro(t, Tutorial, async served => {
      const client = await RawPyro.connect(served.port, version)
      t.equal(await client.call('add', '(1,2)'), '102')
      t.equal(await client.call('add', '[1]', 'None'), '110')
      t.equal(await client.call('add', '(1,)', "{'b':3}"), '103')
      t.equal(await client.call('add', '()', "{'b':3,'a':2}"), '203')
      t.match(await client.call('add', '(1,)', "{'a':3}"), /builtins\.TypeError.*by position and by name/)
      t.match(await client.call('add', '(1,)', "{'z':3}"), /builtins\.TypeError.*no parameter has the name/)
      t.equal(await client.call('maths.half', '(5,)'), '2.5')
      t.equal(await client.call('maths.deep.double', '()', "{'x':5}"), '10')
      t.equal(await client.call('identity'), '"pyro"')
      await client.endClean(t, served)
    })
  })

  t.test(`Pyro${version}: exceptions have classes that Python knows`, async t => {
    await withPyro(t, Tutorial, async served => {
      const client = await RawPyro.connect(served.port, version)
      const { flags, text } = await client.request("('tutorial','fail',(),{})")
      t.equal(flags, 1)
      t.equal(
        text,
        `${SERPENT}{"__class__":"builtins.ValueError","__exception__":True,"args":["too much"],` +
          `"attributes":{"_pyroTraceback":["ValueError: too much\\n"]}}`
      )
      t.equal(
        await client.call('custom'),
        '{"__class__":"builtins.Exception","__exception__":True,"args":["InsufficientFunds: poor\\nyou"],' +
          '"attributes":{"code":17,"left":{"a":1},"omitted":["open"],' +
          '"_pyroTraceback":["Exception: InsufficientFunds: poor\\n","you\\n"]}}'
      )
      t.match(await client.call('text'), '"builtins.Exception","__exception__":True,"args":["a text"]')
      t.match(await client.call('nothing'), /builtins\.AttributeError.*nothing/)
      t.match(await client.call('nothing', '()', "{'a':1}"), /builtins\.AttributeError.*nothing/)
      t.match(await client.call('maths..half'), /builtins\.AttributeError.*missing/)
      t.match(await client.call('title'), /builtins\.TypeError/, 'it cannot be called')
      const refusal = 'result.rows[1] is a reference, and Pyro has none; pass plain data'
      t.match(await client.call('reference'), `"args":["${refusal}"]`)
      await client.endClean(t, served)
    })
  })

  t.test(`Pyro${version}: attributes are read and written`, async t => {
    await withPyro(
      t,
      Tutorial,
      async served => {
        const client = await RawPyro.connect(served.port, version)
        t.equal(await client.call('__getattr__', "('title',)", 'None'), '"tutorial"')
        t.equal(await client.call('__getattr__', "('now',)"), '42')
        t.equal(await client.call('__getattr__', "('config',)"), '{"colour":"red"}')
        t.equal(await client.call('__setattr__', "('title','new')", 'None'), 'None')
        t.equal(await client.call('__getattr__', "('title',)"), '"new"')
        t.match(await client.call('__getattr__', "('received',)"), /AttributeError/)
        t.match(await client.call('__setattr__', "('now',1)"), /TypeError|AttributeError/)
        for (const args of ['()', '(1,)', "('a','b')"])
          t.match(await client.call('__getattr__', args), /TypeError.*takes the name/)
        t.match(await client.call('__setattr__', "('title',)"), /TypeError.*takes the name/)
        t.match(await client.call('__getattr__', "('echo',)"), /TypeError.*result is a reference/)
        await client.endClean(t, served)
      },
      { allowSetAttrs: true }
    )
  })

  t.test(`Pyro${version}: a batch runs until a call fails`, async t => {
    await withPyro(t, Tutorial, async served => {
      const client = await RawPyro.connect(served.port, version)
      const batch = (calls: string, flags = 8) =>
        client.request(`('tutorial','<batch>',[${calls}],{})`, { flags })
      const sums = await batch("('add',(1,2),{}),('add',(1,),{'b':4})")
      t.match(sums, { flags: 8, text: `${SERPENT}[102,104]` })
      const wrapper = version === 4 ? 'Pyro4.futures._ExceptionWrapper' : 'Pyro5.core._ExceptionWrapper'
      const { flags, text } = await batch("('add',(1,2),{}),('fail',(),{}),('push',('late',),{})")
      t.equal(flags, 8)
      t.match(
        text,
        `[102,{"__class__":"${wrapper}","exception":{"__class__":"builtins.ValueError","__exception__":True,`
      )
      t.match((await batch("('reference',(),{})")).text, /TypeError.*results\[0\]\.rows\[1\] is a reference/)
      t.equal((await batch('')).text, `${SERPENT}[]`)
      await client.send({
        flags: 8 | 4,
        data: `('tutorial','<batch>',[('push',('a',),{}),('push',('b',),{})],None)`
      })
      t.equal(await client.call('pushed'), '["a","b"]', 'one-way, and nothing of the failed batch')
      await client.endClean(t, served)
    })
  })

  t.test(`Pyro${version}: one-way calls have no reply, and are made in order`, async t => {
    const errors: unknown[] = []
    await withPyro(
      t,
      Tutorial,
      async served => {
        const client = await RawPyro.connect(served.port, version)
        const oneway = (call: string, flags = 4) => client.send({ flags, data: `('tutorial',${call})` })
        await oneway("'push',(1,),{}")
        await oneway("'push',(),{'value':2}")
        await oneway("'push',(3,),{}")
        t.equal(await client.call('pushed'), '[1,2,3]')
        await oneway("'nothing',(),{}")
        await oneway("'fail',(),{}")
        await oneway("'<batch>',[('push',(4,),{}),('fail',(),{}),('push',(5,),{})],{}", 12)
        await oneway("'echo',(1,2,")
        t.equal(await client.call('pushed'), '[4]')
        await waitUntil(() => errors.length === 2, 'the errors of methods that failed')
        t.match(errors, [/too much/, /too much/])
        t.equal(client.received.length, 3)
        await client.endClean(t, served)
      },
      { onError: error => void errors.push(error) }
    )
  })

  t.test(`Pyro${version}: requests may share a segment, be torn, and wait for each other`, async t => {
    await withPyro(t, Tutorial, async served => {
      const client = await RawPyro.connect(served.port, version)
      gates.clear()
      const request = (seq: number, call: string) =>
        pyroMessage(version, { seq, data: `('tutorial',${call},None)` })
      const bytes = Buffer.concat([
        request(1, "'wait',(1,)"),
        request(65_535, "'echo',(2,)"),
        request(3, "'echo',(3,)")
      ])
      for (const cut of [1, 5, 7, 30, bytes.length]) {
        const start = [1, 5, 7, 30].filter(other => other < cut).at(-1) ?? 0
        await client.send(bytes.subarray(start, cut))
        await new Promise(setImmediate)
      }
      await client.messages(3)
      t.same(
        client.received.slice(1).map(({ seq, text }) => [seq, text]),
        [
          [65_535, `${SERPENT}2`],
          [3, `${SERPENT}3`]
        ]
      )
      await waitUntil(() => gates.has(1))
      gates.get(1)!('late')
      t.match((await client.messages(4))[3], { seq: 1, text: `${SERPENT}"late"` })
      await client.endClean(t, served)
    })
  })

  t.test(`Pyro${version}: a thousand calls in flight are made in order`, async t => {
    await withPyro(t, Tutorial, async served => {
      const client = await RawPyro.connect(served.port, version)
      const numbers = Array.from({ length: 1000 }, (_, i) => i)
      const requests = numbers.flatMap(i => [
        pyroMessage(version, { flags: 4, data: `('x','push',(${i},),{})` }),
        pyroMessage(version, { seq: i + 2000, data: `('x','echo',(${i},),None)` })
      ])
      await client.send(Buffer.concat(requests))
      await client.messages(1001)
      t.same(
        client.received.slice(1).map(({ seq, text }) => [seq, text]),
        numbers.map(i => [i + 2000, `${SERPENT}${i}`])
      )
      t.equal(await client.call('pushed'), `[${numbers}]`)
      await client.endClean(t, served)
    })
  })

  t.test(`Pyro${version}: compressed data, annotations, correlation and pings`, async t => {
    await withPyro(t, Tutorial, async served => {
      const client = await RawPyro.connect(served.port, version)
      const call = `${SERPENT}('tutorial','echo',('${'x'.repeat(1000)}',),{})`
      const correlation = '00112233445566778899aabbccddeeff'
      const { text, ...reply } = await client.request('', {
        flags: 2 | (version === 5 ? 64 : 0),
        data: deflateSync(call),
        annotations: { ABCD: Buffer.from('an annotation'), CORR: Buffer.alloc(16) },
        correlation: version === 5 ? correlation : ''
      })
      t.equal(text.length, SERPENT.length + 1002)
      t.match(reply, { annotations: {}, correlation: version === 5 ? correlation : '' })
      t.equal(reply.flags, version === 5 ? 64 : 0)
      const pong = await client.request('', { type: Type.ping, serializer: 42, data: 'ping' })
      t.match(pong, { type: Type.ping, serializer: 42, text: 'pong', flags: 0 })
      await client.endClean(t, served)
    })
  })

  t.test(`Pyro${version}: JSON in the place of serpent`, async t => {
    const serializer = version === 4 ? 2 : 3
    await withPyro(t, Tutorial, async served => {
      const client = await RawPyro.dial(served.port, version)
      const [ok] = await client.shakeHands('', { serializer, data: '{"handshake":"hello","object":"x"}' })
      t.match(ok, { type: Type.ok, serializer })
      t.equal(JSON.parse(ok!.text).handshake, 'hello')
      const call = async (method: string, params: unknown, kwargs: unknown = {}) => {
        const request = JSON.stringify({ object: 'x', method, params, kwargs })
        return JSON.parse((await client.request(request, { serializer })).text)
      }
      t.equal(await call('add', [1], { b: 2 }), 102)
      t.same(await call('echo', [{ a: [null, 'é'] }]), { a: [null, 'é'] })
      t.match(await call('fail', [], null), { __class__: 'builtins.ValueError', args: ['too much'] })
      t.match(await call('reference', []), { args: [/is a reference, and JSON has none/] })
      t.match(JSON.parse((await client.request('1', { serializer })).text), {
        __class__: 'builtins.TypeError'
      })
      await client.endClean(t, served)
    })
  })

  t.test(`Pyro${version}: an object id is the path of an object, or the root`, async t => {
    await withPyro(t, Tutorial, async served => {
      const client = await RawPyro.connect(served.port, version, 'maths')
      t.match(client.received[0]!.text, '"methods":["deep","half"]')
      t.equal(await client.call('half', '(5,)', '{}', 'maths'), '2.5')
      t.equal(await client.call('double', '(5,)', '{}', 'maths.deep'), '10')
      t.equal(await client.call('double', '()', "{'x':4}", 'maths.deep'), '8')
      for (const id of ['maths.half', 'obj_1234', 'title', 'maths.nothing', 'a'.repeat(5000), '', '.'])
        t.equal(await client.call('add', '(1,2)', '{}', id), '102', id.slice(0, 20))
      for (let i = 0; i < 40; i++) await client.call('add', '(1,2)', '{}', `obj_${i}`)
      t.match(await client.call('list', '()', '{}', 'Pyro.NameServer'), /errors\.DaemonError.*unknown object/)
      await client.endClean(t, served)
    })
  })

  t.test(`Pyro${version}: the daemon`, async t => {
    await withPyro(t, Tutorial, async served => {
      const client = await RawPyro.connect(served.port, version, 'Pyro.Daemon')
      t.match(client.received[0]!.text, '"methods":["registered","ping","info","get_metadata","get_next')
      const call = (method: string, args = '()', kwargs = '{}') =>
        client.call(method, args, kwargs, 'Pyro.Daemon')
      t.equal(await call('ping'), 'None')
      t.equal(await call('info'), '"Pyro.Daemon of netref"')
      t.equal(await call('registered'), '["Pyro.Daemon","maths.deep","maths"]')
      t.match(await call('get_metadata', "('x',)", "{'as_lists':True}"), /"methods":\["add"/)
      t.match(await call('get_metadata', '()', "{'objectId':'maths'}"), /"methods":\["deep","half"\]/)
      t.match(await call('get_metadata', "('Pyro.Daemon',)"), /"methods":\["registered"/)
      t.match(await call('get_metadata', "('Pyro.NameServer',)"), /errors\.DaemonError/)
      t.match(await call('nothing'), /builtins\.AttributeError/)
      t.match(await call('get_next_stream_item', "('x',)"), /errors\.PyroError.*item stream terminated/)
      t.equal(await call('close_stream', "('x',)"), 'None')
      await client.endClean(t, served)
    })
  })

  t.test(`Pyro${version}: requests of other forms fail`, async t => {
    await withPyro(t, Tutorial, async served => {
      const client = await RawPyro.connect(served.port, version)
      for (const literal of ['1', "('tutorial','add',(1,2))", '()', "(1,'add',(1,),{})", "{'a':1}"])
        t.match((await client.request(literal)).text, /TypeError.*a request has an object/, literal)
      for (const call of ['1,(),{}', "'add',1,{}", "'add',(),1", "'add',(),[1]", "'add',(),{1:2}"])
        t.match((await client.request(`('tutorial',${call})`)).text, /TypeError.*a call has the name/, call)
      const batch = { flags: 8 }
      t.match((await client.request("('x','<batch>',1,{})", batch)).text, /TypeError.*a batch is a list/)
      t.match((await client.request("('x','<batch>',[1],{})", batch)).text, /TypeError.*a call has the name/)
      t.match((await client.request("('x','add',(1", {})).text, /ValueError.*the data of a message/)
      const blob = { flags: version === 4 ? 64 : 32 }
      t.match((await client.request("('x','add',(1,),{})", blob)).text, /TypeError.*SerializedBlob/)
      const other = await client.request("('x','add',(1,),{})", { serializer: version === 4 ? 4 : 2 })
      t.match(other, { serializer: 1, flags: 1, text: /errors\.SerializeError.*use serpent or json/ })
      t.equal(await client.call('add', '(1,2)'), '102', 'the connection goes on')
      await client.endClean(t, served)
    })
  })
}

t.test('Pyro4 may ask for no description', async t => {
  await withPyro(
    t,
    Tutorial,
    async served => {
      const client = await RawPyro.dial(served.port, 4)
      const [ok] = await client.shakeHands("{'handshake':'hello'}", { flags: 0 })
      t.match(ok, { type: Type.ok, flags: 0, text: `${SERPENT}"hello"` })
      t.equal(await client.call('add', '(1,2)'), '102')
      t.match(await client.call('add', '(1,)', "{'b':2}"), /TypeError/, 'names are not known')
      await client.endClean(t, served)
    },
    { describe: false }
  )
})

t.test('a service that does not describe itself refuses clients that ask', async t => {
  await withPyro(
    t,
    Tutorial,
    async ({ port }) => {
      const client = await RawPyro.dial(port, 5)
      const [fail] = await client.shakeHands("{'handshake':'hello','object':'tutorial'}")
      t.match(fail, { type: Type.fail, text: /descri/ })
      await client.closed
    },
    { describe: false }
  )
})

t.test('an exception is sent whatever the limits of the server', async t => {
  class Failing extends Service {
    exposed_long(): never {
      throw Object.assign(new Error('x'.repeat(1000)), { field: 'y'.repeat(500) })
    }
    exposed_many(): never {
      const fields = Array.from({ length: 12 }, (_, i) => [
        `field${i}`,
        i > 10 ? 'small' : 'z'.repeat(200_000)
      ])
      throw Object.assign(new Error('many'), Object.fromEntries(fields))
    }
  }
  await withPyro(
    t,
    Failing,
    async served => {
      const client = await RawPyro.connect(served.port, 5)
      t.match(
        await client.call('long'),
        /"args":\["x{1000}"\],"attributes":\{"field":"y{500}","_pyroTraceback"/
      )
      const { text } = await client.request("('x','<batch>',[('long',(),{})],{})", { flags: 8 })
      t.match(text, /__exception__/)
      await client.endClean(t, served)
    },
    { exposeStacks: true, limits: { jsonBytes: 4096, frameBytes: 4096, depth: 3 } }
  )
  await withPyro(t, Failing, async served => {
    const client = await RawPyro.connect(served.port, 5)
    const text = await client.call('many')
    t.match(text, /"field0":.*"field11":"small"/)
    t.ok(text.length < 2 << 20, `${text.length} characters`)
    await client.endClean(t, served)
  })
})

t.test('stacks are sent with exposeStacks', async t => {
  await withPyro(
    t,
    Tutorial,
    async served => {
      const client = await RawPyro.connect(served.port, 5)
      t.match(await client.call('fail'), /"_pyroTraceback":\["RangeError: too much\\n"," {4}at .*calls\.spec/)
      await client.endClean(t, served)
    },
    { exposeStacks: true }
  )
})
