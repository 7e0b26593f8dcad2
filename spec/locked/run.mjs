// Runs a spec with frozen intrinsics: `node … run.mjs <module that freezes them, or - for Node's own option> <spec>
// <test to skip> …`.
import { register } from 'node:module'
import { mock } from 'node:test'

const [lock, spec, ...without] = process.argv.slice(2)
// Triggers its warning now: Node cannot create it once `Error.prototype` is frozen.
mock.timers.reset()
register('./hooks.mjs', import.meta.url)
const { default: t } = await import('tap')
for (const name of without) t.without.add(name)
if (lock !== '-') await import(`./${lock}.mjs`)
await import(`../${spec}.spec.ts`)
await t.finish()
console.log(`${t.passed} passed, ${t.failed} failed`)
if (t.failed || !t.passed) process.exitCode = 1
