// Starts a worker that serves spec/support/fixtures/worker.ts.
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { build } from 'esbuild'
import type { Test } from 'tap'
import { CHILD_ENV } from './helpers.js'

/** Bundled, since a worker does not inherit the loaders of this process. */
export async function startWorker(t: Test, workerData?: string): Promise<Worker> {
  const outfile = join(t.testdir({}), `worker-${workerData}.mjs`)
  await build({
    entryPoints: [fileURLToPath(new URL('./fixtures/worker.ts', import.meta.url))],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external'
  })
  return new Worker(outfile, { workerData, env: CHILD_ENV, execArgv: [] })
}
