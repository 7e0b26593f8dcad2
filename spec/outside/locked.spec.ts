// The core's specs where a program has locked its realm down: each runs in a process of its own.
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { CHILD_ENV } from '../helpers.js'

const run = promisify(execFile)
/** As long as the specs have where tap runs them. */
const env = { ...CHILD_ENV, TAP_TIMEOUT: '120' }
const root = fileURLToPath(new URL('../..', import.meta.url))

const CORE = [
  ...[
    'box',
    'calls',
    'exposure',
    'faults',
    'iterators',
    'references',
    'results',
    'resume',
    'session',
    'streams'
  ],
  'unsent'
]

/** Tests that change intrinsics themselves, or `console`; and one that fails with the stand-in in any realm. */
const PATCHING = [
  'a key is data, whatever it is called, and pollutes nothing',
  'stacks go along where exposeStacks says so, below the local one',
  'an error arrives as it was thrown, whatever the program makes of stacks',
  'many records with the same names cross as a table, and arrive as records',
  'what fails with nobody waiting is told by console.error; and onError may fail itself',
  'NETREF_DEBUG=1 prints each message that crosses, one readable line each',
  'the count of frames comes alone when nothing else is sent, and is not answered by a count'
]
/** Tests that assign a name which is inherited and frozen, or whose generator of values does. */
const ASSIGNING = [
  'what goes round comes back deeply equal, with the references in it the very same objects',
  'opens members that do not start with _',
  'what cannot be sent rejects that call alone'
]
/** `arguments` and `caller` are no members of functions in SES, and its stacks print an error with `toString`. */
const OF_SES = [
  'what every object or function has, and symbols, unless it is exposed by name',
  'errors: class, name, message, code, cause, errors and fields that are data'
]

/** Where intrinsics are frozen, tap itself does not load: a stand-in takes its place. */
const frozen = (lock: string, without: string[]) => (spec: string) => [
  'spec/outside/locked/run.mjs',
  ...[lock, spec, ...without]
]
const plain = (spec: string) => [`spec/${spec}.spec.ts`]

const REALMS: [name: string, flags: string[], program: (spec: string) => string[]][] = [
  ['node --frozen-intrinsics', ['--frozen-intrinsics'], frozen('-', PATCHING)],
  ['lockdown() of SES', [], frozen('ses', [...PATCHING, ...ASSIGNING, ...OF_SES])],
  ['all frozen, without remedies', [], frozen('freeze', [...PATCHING, ...ASSIGNING])],
  ['node --disable-proto=throw', ['--disable-proto=throw'], plain],
  ['node --disable-proto=delete', ['--disable-proto=delete'], plain]
]

t.setTimeout(900_000)
for (const [name, flags, program] of REALMS) {
  t.test(name, async t => {
    for (const spec of CORE) {
      const args = ['--expose-gc', ...flags, '--import', 'tsx', ...program(spec)]
      const failed = await run(process.execPath, args, { cwd: root, env, maxBuffer: 1e8 }).then(
        () => undefined,
        ({ stdout, stderr }) => `${stdout}\n${stderr}`
      )
      t.equal(failed, undefined, spec)
    }
  })
}
