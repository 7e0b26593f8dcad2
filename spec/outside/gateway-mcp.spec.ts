// Runs the client of MCP's Python SDK against the gateway, and against `netref mcp`.
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { mcp } from '../../lib/gateways/mcp.js'
import { serve } from '../../lib/index.js'
import { program } from '../support/command-line.js'
import { CHILD_ENV, waitUntil } from '../support/helpers.js'
import Tutorial from './programs/mcp_service.js'

const run = promisify(execFile)
const path = (name: string) => fileURLToPath(new URL(name, import.meta.url))
const PYTHON = path('../../node_modules/.cache/mcp/bin/python')
const CLIENT = path('programs/mcp_client.py')
const skip = existsSync(PYTHON) ? false : 'not installed here: mcp for Python (.ci/run installs it)'

const PRINTED = [
  "[('sum', 'Adds two numbers', ['a', 'b']), ('greet', None, ['name']), ('count', None, ['to']), ('fail', None, [])]",
  "sum False ['3'] {'result': 3}",
  "sum True ['the arguments of sum are wrong:\\n- b: Invalid input: expected number, received string'] None",
  "greet False ['{\"text\":\"Hello Ada\"}'] {'text': 'Hello Ada'}",
  "count False ['[1,2,3]'] None",
  "fail True ['RangeError: on purpose'] None",
  'True',
  ''
]

t.test("MCP's Python SDK over HTTP", { skip }, async t => {
  const errors: unknown[] = []
  await using server = await serve(Tutorial, {
    port: 0,
    gateways: [mcp({ tools: ['sum', 'greet', 'count', 'fail'] })],
    onError: error => errors.push(error)
  })
  const { stdout } = await run(PYTHON, [CLIENT, `http://127.0.0.1:${server.port}/mcp`])
  t.same(stdout.split('\n'), PRINTED)
  await waitUntil(() => server.sessions.size === 0)
  t.match(server.metrics, { exports: 0, imports: 0, pending: 0 })
  t.same(errors, [])
})

t.test("MCP's Python SDK starts `netref mcp`", { skip }, async t => {
  const command = [process.execPath, ...program, 'mcp', path('programs/mcp_service.ts')]
  const args = [CLIENT, ...command, '--tools', 'sum,greet,count,fail']
  const { stdout } = await run(PYTHON, args, { env: CHILD_ENV })
  t.same(stdout.split('\n'), PRINTED)
})
