// Tests `npm run demo:gateways`: it runs the commands that the server prints, each with what it needs on this machine.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { CHILD_ENV } from '../support/helpers.js'
import { pythonWith } from '../support/installed-programs.js'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

const POEM = readFileSync(`${ROOT}demos/line-counter/testfile.txt`, 'utf8').trimEnd().split('\n')

/** Starts the server on free ports. `stop` asserts that it ends by itself, and that nothing but calls failed. */
async function startDemo(t: Test) {
  const args = ['--import', 'tsx', 'demos/gateways/server.ts', '--port', '0', '--protobuf-port', '0']
  const server = spawn(process.execPath, args, { cwd: ROOT, env: CHILD_ENV })
  let output = ''
  let errors = ''
  server.stdout.setEncoding('utf8').on('data', text => {
    output += text
  })
  server.stderr.setEncoding('utf8').on('data', text => {
    errors += text
  })
  t.teardown(() => server.kill('SIGKILL'))
  while (!output.includes('Ctrl-C')) await once(server.stdout, 'data')
  return {
    commands: [...output.matchAll(/^ {2}(.*)$/gm)].map(([, command]) => command!),
    async stop() {
      server.kill('SIGTERM')
      const [code] = await once(server, 'close')
      t.equal(code, 0)
      t.match(errors, /^([\w.#]+\(.*\) failed: .*\n)*$/)
    }
  }
}

interface Client {
  /** In the command. */
  readonly program: string
  /** Modules of Python that it imports. */
  readonly modules?: string[]
  /** Programs that it starts. */
  readonly programs?: string[]
  readonly prints: string | RegExp
}

const CLIENTS: Client[] = [
  { program: 'lib/cli/main.ts', prints: '3\n' },
  {
    program: 'rpyc_client.py',
    modules: ['rpyc'],
    prints: [
      '1 + 2 = 3',
      ...POEM.map(line => `Noisy: ${line}`),
      'The server counted 10 lines.',
      'It counts itself, too: [1, 2, 3]',
      '1 / 0: 1 cannot be divided by 0\n'
    ].join('\n')
  },
  {
    program: 'xmlrpc_client.py',
    modules: ['xmlrpc.client'],
    prints: [
      'The server has count, divide, get_time, greet, line_counter, sum',
      'sum: Adds two numbers.',
      '1 + 2 = 3',
      'Hello Ada',
      '1 / 0: RangeError: 1 cannot be divided by 0\n'
    ].join('\n')
  },
  {
    program: 'mcp_client.ts',
    prints: [
      'sum(x, y): Adds two numbers.',
      'divide(dividend, divisor): Divides integers: quotient and remainder.',
      'sum: 3',
      'divide: {"quotient":2,"remainder":1}',
      'divide: RangeError: 7 cannot be divided by 0\n'
    ].join('\n')
  },
  { program: 'curl', programs: ['curl'], prints: '{"jsonrpc":"2.0","id":1,"result":3}' },
  {
    program: 'jsonrpc_client.py',
    modules: ['jsonrpclib'],
    prints: [
      'The server has count, divide, get_time, greet, line_counter, sum',
      'sum(x, y): Adds two numbers.',
      '1 + 2 = 3',
      '3 + 4 = 7',
      'Hello Ada',
      '1 / 0: 1 cannot be divided by 0\n'
    ].join('\n')
  },
  {
    program: 'jsonrpc_client.go',
    programs: ['go'],
    prints: 'Hello Ada\n17 / 5 = 3 remainder 2\n1 / 0: RangeError: 1 cannot be divided by 0\n'
  },
  {
    program: 'zerorpc_client.py',
    modules: ['zerorpc'],
    prints: [
      'The server has count, divide, get_time, greet, line_counter, sum',
      'sum: Adds two numbers.',
      '1 + 2 = 3',
      'Hello Ada',
      'It counts itself, too: [1, 2, 3]',
      '1 / 0: RangeError: 1 cannot be divided by 0\n'
    ].join('\n')
  },
  {
    program: 'pyro_client.py',
    modules: ['Pyro4'],
    prints: [
      'The server has count, divide, get_time, greet, line_counter, sum',
      '1 + 2 = 3',
      'Hello Ada',
      'It counts itself, too: [1, 2, 3]',
      'A batch: [7, 11]',
      '1 / 0: 1 cannot be divided by 0\n'
    ].join('\n')
  },
  {
    program: 'grpc_client.py',
    modules: ['grpc', 'google.protobuf'],
    programs: ['protoc', 'grpc_python_plugin'],
    prints: [
      '1 + 2 = 3.0',
      'Hello Ada',
      'It counts: [1.0, 2.0, 3.0]',
      '17 / 5 = 3 remainder 2',
      '1 / 0: UNKNOWN 1 cannot be divided by 0\n'
    ].join('\n')
  },
  {
    program: 'gorpc_client.go',
    programs: ['go'],
    prints: 'Hello Ada\n17 / 5 = 3 remainder 2\n1 / 0: 1 cannot be divided by 0\n'
  },
  {
    program: 'stub_client.py',
    modules: ['socket'],
    prints:
      /^1 \+ 2 = 3\n1\.5 \+ 2 = 3\.5\nThe server's time is \w{3} .*\nsum: sum\(.*\): args\[0\]: .*number.*\nmissing: .*not exposed.*\n$/
  },
  {
    program: 'protobuf_client.py',
    modules: ['google.protobuf'],
    programs: ['protoc'],
    prints: 'Hello Ada\n17 / 5 = 3 remainder 2\n1 / 0: 1 cannot be divided by 0\n'
  }
]

const isInstalled = (program: string) => spawnSync(program, ['--version'], { input: '' }).error === undefined

t.test('one service, and the client of each system', async t => {
  const { commands, stop } = await startDemo(t)
  t.equal(commands.length, CLIENTS.length, 'each client is known here')
  for (const { program, modules, programs = [], prints } of CLIENTS) {
    const python = modules ? pythonWith(...modules) : 'not needed'
    const missing = [...(python ? [] : modules!), ...programs.filter(name => !isInstalled(name))]
    const skip = missing.length > 0 && `not installed here: ${missing.join(', ')} (.ci/run installs them)`
    await t.test(program, { skip }, async t => {
      const command = commands.find(command => command.includes(program))!
      const client = spawn(command.replace(/^python3/, python!), { shell: true, cwd: ROOT, env: CHILD_ENV })
      let [stdout, stderr] = ['', '']
      client.stdout.setEncoding('utf8').on('data', text => {
        stdout += text
      })
      client.stderr.setEncoding('utf8').on('data', text => {
        stderr += text
      })
      const [code] = await once(client, 'close')
      t.equal(stderr, '')
      t.match(stdout, prints)
      t.equal(code, 0)
    })
  }
  await stop()
})
