// Specs of `mcp` itself: its options, and the members that give no tool.
import t from 'tap'
import { z } from 'zod'
import { mcp } from '../../../lib/gateways/mcp.js'
import { exposes, Service, type Session } from '../../../lib/index.js'
import { connectHttp, withMcp } from '../../support/mcp.js'
import { MCP_CLIENT_NAMES, textOf } from '../../support/mcp-clients.js'

t.test('invalid options', async t => {
  const refused = (options: object, message: string | RegExp) =>
    t.throws(() => mcp(options as never), { name: 'TypeError', message })
  const noTools =
    'mcp: `tools` takes the names of the methods that become tools, as in { tools: ["sum"] }, not undefined'
  refused({}, noTools)
  t.throws(() => mcp(undefined as never), { name: 'TypeError', message: noTools })
  refused({ tools: [] }, /names of the methods .*, not an empty list$/)
  refused({ tools: 'sum' }, /not "sum"/)
  refused(
    { tools: ['sum', 7] },
    'mcp: 7 in `tools` is not the name of a method; pass one such as "ServiceA.Add"'
  )
  refused({ tools: ['a..b'] }, /"a..b" in `tools` is not the name of a method/)
  refused({ tools: [''] }, /"" in `tools`/)
  refused({ tools: ['größe'] }, /"größe" cannot be the name of a tool: it has up to 64 letters/)
  refused({ tools: ['x'.repeat(65)] }, /cannot be the name of a tool/)
  refused(
    { tools: ['a.b', 'a_b'] },
    'mcp: "a.b" and "a_b" in `tools` both give the tool "a_b"; remove or rename one'
  )
  refused({ tools: ['a', 'a'] }, /both give the tool "a"/)
  refused({ tools: ['a'], pth: '/' }, /there is no option `pth`: did you mean `path`/)
  t.match(mcp({ tools: ['a'] }), { name: 'mcp', requests: { path: '/mcp' } })
  t.match(mcp({ tools: ['a'], path: '/tools', port: 0 }), { port: 0, requests: { path: '/tools' } })
})

class Guarded extends Service {
  open() {
    return 1
  }
  guarded() {
    return 2
  }
  untyped() {
    return 3
  }
  unlisted() {
    return 4
  }
  object({ text }: { text: string }) {
    return text
  }
  string(text: string) {
    return text
  }
  value = 5
  static {
    const schema = z.tuple([])
    exposes(Guarded, {
      open: { schema },
      guarded: { schema, if: ({ identity }: Session) => identity === 'admin' },
      untyped: true,
      object: { schema: z.object({ text: z.string() }) as never },
      string: { schema: z.string() as never },
      unlisted: { schema },
      value: true
    })
  }
}

t.test('a named member that gives no tool is reported once, by name and reason', async t => {
  const tools = ['open', 'untyped', 'object', 'string', 'missing', 'value', 'deep.missing', '_.hidden']
  await withMcp(t, Guarded, { tools }, async ({ url, errors }) => {
    for (const name of MCP_CLIENT_NAMES) {
      const client = await connectHttp(name, url)
      t.same(
        (await client.list()).map(({ name }) => name),
        ['open']
      )
      await t.rejects(client.call('untyped'), { code: -32602, message: /there is no tool "untyped"/ })
      await t.rejects(client.call('missing'), { code: -32602 })
      await t.rejects(client.call('unlisted'), { code: -32602 }, 'exposed, but not to models')
      await client.close()
    }
    const why =
      'this client may not use such a method, or there is none; expose it, check the name, or remove it'
    t.same(
      errors.map(({ message }) => message.split(' from')[0]),
      [
        'mcp: "untyped" is no tool: it has no schema, or one that is not told as JSON Schema; give it one, as in @exposed({ schema }), with valibot toStandardJsonSchema(schema)',
        ...['object', 'string'].map(
          name =>
            `mcp: "${name}" is no tool: a schema is for the list of arguments, as in z.tuple([…]); put it into one`
        ),
        ...['missing', 'value', 'deep.missing', '_.hidden'].map(name => `mcp: "${name}" is no tool: ${why}`)
      ]
    )
  })
})

t.test('each client gets the tools that it may use', async t => {
  const options = {
    tools: ['open', 'guarded'],
    authenticate: async ({ token }: { token(): Promise<string | undefined> }) => (await token()) ?? 'guest'
  }
  await withMcp(t, Guarded, options, async ({ url, errors }) => {
    for (const name of MCP_CLIENT_NAMES) {
      const admin = await connectHttp(name, url, { authorization: 'Bearer admin' })
      t.same(
        (await admin.list()).map(({ name }) => name),
        ['open', 'guarded']
      )
      t.equal(textOf(await admin.call('guarded')), '2')
      const guest = await connectHttp(name, url)
      t.same(
        (await guest.list()).map(({ name }) => name),
        ['open']
      )
      t.equal(textOf(await guest.call('open')), '1')
      await t.rejects(guest.call('guarded'), { code: -32602, message: /there is no tool "guarded"/ })
      await Promise.all([admin.close(), guest.close()])
    }
    t.same(errors, [], 'a tool that some client has is not reported')
  })
})

t.test('a service that does not describe itself has no tools', async t => {
  await withMcp(t, Guarded, { tools: ['open'], describe: false }, async ({ url, errors }) => {
    const client = await connectHttp('SDK 1, 2025-11-25', url)
    t.same(await client.list(), [])
    t.match(errors, [{ message: /"open" is no tool/ }])
    await client.close()
  })
})
