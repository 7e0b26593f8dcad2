// `npm run locked`: runs the core specs in programs with frozen intrinsics, each spec in its own process.
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { CHILD_ENV } from '../support/helpers.js'

const run = promisify(execFile)
/** The timeout that tap gives the specs. */
const env = { ...CHILD_ENV, TAP_TIMEOUT: '120' }
const root = fileURLToPath(new URL('../..', import.meta.url))
const AT_ONCE = 2

const CORE = [
  'access/access-control',
  'codec/dispose',
  'codec/encode',
  'remote/references',
  'remote/streams/iterators',
  'remote/streams/streams',
  'session/idempotency',
  'session/session',
  'system/calls',
  'system/faults',
  'system/resume'
]
/** For further realms: the specs that cover most of the library. */
const FEW = ['remote/references', 'remote/streams/streams', 'system/calls', 'system/resume']

/** Tests that change intrinsics or `console`, and one that fails with the stand-in in every realm. */
const PATCHING = [
  'any key is data, and changes no prototype',
  'with exposeStacks the remote stack follows the local one',
  'an error arrives unchanged, even if the program formats stacks itself',
  'many records with the same names are sent as a table, and arrive as records',
  'a value is the same whether it is handed on as it is, or beside what is not plain',
  'a failure that no code awaits goes to console.error; onError may fail itself',
  'NETREF_DEBUG=1 prints each message as one readable line',
  'an ack-only frame is sent if nothing else is, and causes no acknowledgement'
]
const titles = CORE.map(spec => readFileSync(`${root}spec/${spec}.spec.ts`, 'utf8')).join()
for (const title of PATCHING)
  if (!titles.includes(title)) throw new Error(`no core spec has the test "${title}"`)

/** tap does not load with frozen intrinsics: a stand-in replaces it. */
const frozen = (lock: string) => (spec: string) => ['spec/locked/run.mjs', lock, spec, ...PATCHING]
const plain = (spec: string) => [`spec/${spec}.spec.ts`]

interface Realm {
  readonly name: string
  readonly flags?: readonly string[]
  readonly specs: readonly string[]
  /** Arguments of Node for a spec. */
  program(spec: string): readonly string[]
}
const REALMS: readonly Realm[] = [
  {
    name: 'node --frozen-intrinsics',
    flags: ['--frozen-intrinsics'],
    specs: CORE,
    program: frozen('-')
  },
  { name: 'lockdown() of SES', specs: FEW, program: frozen('ses') },
  { name: 'all frozen, without remedies', specs: FEW, program: frozen('freeze') },
  { name: 'node --disable-proto=throw', flags: ['--disable-proto=throw'], specs: FEW, program: plain },
  { name: 'node --disable-proto=delete', flags: ['--disable-proto=delete'], specs: FEW, program: plain }
]

const began = performance.now()
const seconds = (since: number) => `${((performance.now() - since) / 1000).toFixed(1)} s`
const waiting = REALMS.flatMap(realm => realm.specs.map(spec => ({ ...realm, spec })))

async function work(): Promise<void> {
  for (let next = waiting.shift(); next; next = waiting.shift()) {
    const { name, flags = [], spec, program } = next
    const since = performance.now()
    const args = ['--expose-gc', ...flags, '--import', 'tsx', ...program(spec)]
    try {
      await run(process.execPath, args, { cwd: root, env, maxBuffer: 1e8 })
      console.log(`ok  ${name}: ${spec}, ${seconds(since)}`)
    } catch (error) {
      const { stdout, stderr } = error as { stdout: string; stderr: string }
      console.log(`${stdout}\n${stderr}\nNOT OK  ${name}: ${spec}`)
      process.exitCode = 1
    }
  }
}

await Promise.all(Array.from({ length: AT_ONCE }, work))
console.log(`${process.exitCode ? 'failed' : 'all passed'}, in ${seconds(began)}`)
