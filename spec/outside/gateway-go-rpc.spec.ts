// Runs Go's net/rpc against the gateway, connectGoRpc against Go's server, and the gob codec against Go's, with each installed Go.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { z } from 'zod'
import { GobDecoder } from '../../lib/gateways/go-rpc/gob/decoder.js'
import { GobEncoder } from '../../lib/gateways/go-rpc/gob/encoder.js'
import { MessageCutter } from '../../lib/gateways/go-rpc/gob/message-cutter.js'
import { SentTypes } from '../../lib/gateways/go-rpc/sent-types.js'
import { connectGoRpc, GoRpcError } from '../../lib/gateways/go-rpc.js'
import { exposed, Service } from '../../lib/index.js'
import { DEFAULT_LIMITS } from '../../lib/protocol/limits.js'
import { withGoRpc } from '../support/go-rpc.js'
import { CHILD_ENV, rejectionOf } from '../support/helpers.js'
import { installedGo } from '../support/installed-programs.js'

const PROGRAMS = fileURLToPath(new URL('programs/', import.meta.url))
const VERSIONS = installedGo()

/** Compiles a program. @returns its file */
function compile(t: Test, go: string, name: string): string {
  const program = `${t.testdir()}/${name}`
  const env = { ...CHILD_ENV, GOFLAGS: '-mod=mod', GOPROXY: 'off', GOTOOLCHAIN: 'local' }
  const built = spawnSync(go, ['build', '-o', program, `${name}.go`], {
    cwd: PROGRAMS,
    env,
    encoding: 'utf8'
  })
  t.equal(built.stderr, '')
  return program
}

/** Runs a program. @returns what it prints; a failure, with what it says */
async function run(program: string, args: readonly string[], input = ''): Promise<string> {
  const child = spawn(program, args, { env: CHILD_ENV })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', text => {
      output += text
    })
  child.stdin.end(input)
  const [code] = await once(child, 'close')
  return code === 0 ? output : `${output}failed with ${code}`
}

class Shop {
  @exposed({ returns: z.array(z.object({ Name: z.string(), Price: z.number() })) })
  Items() {
    return [{ Name: 'tea', Price: 2 }]
  }
  @exposed Nothing() {}
  @exposed Lengths(words: string[]) {
    return Object.fromEntries(words.map(word => [word, word.length]))
  }
  @exposed Mixed() {
    return { circle: { Radius: 2 }, inner: { a: 1, b: 'x' } }
  }
  @exposed Fail(why: string): never {
    throw new Error(why)
  }
  @exposed Empty() {
    return []
  }
}

class Examples extends Service {
  exposed_Arith = { Add: ({ X, Y }: { X: number; Y: number }) => X + Y }
  exposed_Maths = {
    Half: (x: number) => x / 2,
    Mean: (numbers: number[]) => numbers.reduce((sum, x) => sum + x, 0) / numbers.length
  }
  exposed_Echo = { It: (value: unknown) => value }
  exposed_Wait = { For: (ms: number) => new Promise(resolve => setTimeout(resolve, ms, ms)) }
  exposed_Shop = new Shop()
}

const PRINTED = [
  ...['30 <nil>', '-5 <nil>', '2.5 <nil>', '4 <nil>', '2 <nil>', '7 <nil>', 'é𝄞 <nil>', 'map[1:[a]] <nil>'],
  ...['{1 2} <nil>', '{3 4} <nil>', 'true <nil>', 'true <nil>', '[{tea 2 []}] <nil>', 'false <nil>'],
  ...['map[go:2 net:3] <nil>', 'map[] <nil>', 'map[circle:{2} inner:map[a:1 b:x]] <nil>', '0 no such thing'],
  "0 rpc: can't find service Shop.Missing",
  '[] an empty list or object tells no type of Go; declare the type: types: { "Shop.Empty": "[]string" }',
  ...['fast first', '999000 <nil>', '']
]

t.test('Go', { skip: VERSIONS.length === 0 && 'not installed here: go (.ci/run installs it)' }, async t => {
  for (const { program: go, version } of VERSIONS)
    t.test(version, async t => {
      t.test("clients of Go's net/rpc call a service", async t => {
        const client = compile(t, go, 'go_rpc_client')
        const types = { 'Maths.Mean': 'float64', 'Shop.Nothing': 'bool' }
        const registered = { 'map[string]interface {}': 'map[string]any' }
        for (const mode of ['tcp', 'http'])
          await withGoRpc(
            t,
            Examples,
            async ({ port }) => {
              t.same((await run(client, [mode, `127.0.0.1:${port}`])).split('\n'), PRINTED, mode)
            },
            { gateway: { types, registered } }
          )
      })

      t.test("connectGoRpc calls servers of Go's net/rpc", async t => {
        const server = compile(t, go, 'go_rpc_server')
        for (const http of [false, true]) await callServer(t, server, http)
      })

      t.test('the codec has the values of Go, in both directions', async t => {
        const program = compile(t, go, 'gob_values')
        const stream = Buffer.from((await run(program, ['encode'])).trim(), 'hex')
        const types = new SentTypes({ types: new Map(), registered: new Map() }, DEFAULT_LIMITS)
        const decoder = new GobDecoder(DEFAULT_LIMITS, types.known)
        const encoder = new GobEncoder(DEFAULT_LIMITS, (value, writer) => types.registeredType(value, writer))
        const encoded: Buffer[] = []
        for (const message of new MessageCutter(stream.length).cut(stream)) {
          const decoded = decoder.decode(message)
          if (!decoded) continue
          const bytes = encoder.encode(decoded.type, decoded.value, 'value')
          encoded.push(...encoder.takeDefinitions(), bytes)
        }
        t.ok(encoded.length > 80, `${encoded.length} messages`)
        t.equal(await run(program, ['decode'], Buffer.concat(encoded).toString('hex')), 'end\n')
      })
    })
})

async function callServer(t: Test, program: string, http: boolean): Promise<void> {
  const server: ChildProcess = spawn(program, [http ? 'http' : 'tcp'], { env: CHILD_ENV })
  t.teardown(() => server.kill())
  const [port] = await once(server.stdout!.setEncoding('utf8'), 'data')
  await using conn = connectGoRpc(`127.0.0.1:${String(port).trim()}`, {
    http,
    types: {
      'Arith.Half': 'float64',
      'Arith.Sum': '[]float64',
      'Shop.Echo': 'Order',
      'Shop.Describe': 'map[string]any',
      Order:
        'struct { Article string; Price float64; Count uint8; Tags []string; Notes map[string]string; Parent *Order; At time.Time; Extra any }'
    },
    registered: { 'main.Circle': 'struct { Radius float64 }' }
  })
  const { Arith, Shop } = conn.root
  t.equal(await Arith.Add({ X: 10, Y: 20 }), 30)
  t.equal(await Arith.Add({ X: 0, Y: -5 }), -5)
  t.same(await Promise.all([Arith.Half(5), Arith.Sum([1, 2]), Arith.Sum([])]), [2.5, 3, 0])
  const nobody = { Article: '', Price: 0, Count: 0, Tags: [], Notes: {}, Parent: null, Extra: null }
  const order = {
    ...{ Article: 'tea', Price: 2, Count: 255, Tags: ['a'], Notes: { k: 'v' } },
    Parent: { ...nobody, Article: 'parent', At: new Date('0001-01-01T00:00:00Z') },
    At: new Date('2026-11-30T12:00:00Z'),
    Extra: { Radius: 2 }
  }
  t.same(await Shop.Echo(order), order)
  t.match(await Shop.Find('cake'), { Article: 'cake', Price: 2, At: new Date(0), Extra: { Radius: 1 } })
  t.equal(await Shop.Describe({ a: 1, b: 'x', c: { Radius: 2 } }), 'map[a:1 b:x c:{2}]')
  t.equal(await Shop.Big(), 2n ** 63n)
  t.equal(await Shop.Nothing(), undefined)
  const failure = await rejectionOf(Shop.Fail('sold out'))
  t.ok(failure instanceof GoRpcError)
  t.equal((failure as Error).message, 'sold out')
  t.match(await rejectionOf(Shop.Missing()), { message: "rpc: can't find method Shop.Missing" })
  t.match(await rejectionOf(Arith.Add({ X: 1.5, Y: 2 })), {
    message:
      /^gob: wrong type .*; declare the type of the argument: types: { "Arith.Add": "struct { X int; Y int }" }/
  })
  const finished: number[] = []
  await Promise.all([200, 1].map(async ms => finished.push(await Shop.Slow(ms))))
  t.same(finished, [1, 200], 'in the order in which the calls settle')
  const sums = await Promise.all(Array.from({ length: 1000 }, (_, i) => Arith.Add({ X: i, Y: i })))
  t.equal(
    sums.reduce((sum: number, one: number) => sum + one, 0),
    999_000
  )
  const lost = rejectionOf(Shop.Slow(5000))
  await Arith.Add({ X: 1, Y: 1 })
  server.kill()
  t.match(await lost, { name: 'SessionEndedError', code: 'connection-lost' })
  t.match(await conn.closed, { code: 'connection-lost' })
}
