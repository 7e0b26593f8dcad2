// Runs a spec where intrinsics are frozen: `node … run.mjs <module that freezes them, or - where Node has> <spec>
// <test that is left out> …`.
import { register } from 'node:module'
import { mock } from 'node:test'

const [lock, spec, ...without] = process.argv.slice(2)
// Its warning is told now: Node itself cannot make one where `Error.prototype` is frozen.
mock.timers.reset()
register('./hooks.mjs', import.meta.url)
const { default: t } = await import('tap')
for (const name of without) t.without.add(name)
if (lock !== '-') await import(`./${lock}.mjs`)
await import(`../${spec}.spec.ts`)
await t.finish()
console.log(`${t.passed} passed, ${t.failed} failed`)
if (t.failed || !t.passed) process.exitCode = 1
