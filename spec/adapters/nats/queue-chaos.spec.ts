// A queue whose workers are killed at random, and whose NATS is killed twice: each job is done or is a dead letter, nothing is
// lost, and no method that is not idempotent is started twice. NETREF_JOBS sets the number of jobs.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as later } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { jetstream } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { build } from 'esbuild'
import t, { type Test } from 'tap'
import { type DeadLetter, nats } from '../../../lib/adapters/nats.js'
import { Netref } from '../../../lib/index.js'
import type { Chaos } from '../../support/fixtures/queue-worker.js'
import { CHILD_ENV } from '../../support/helpers.js'
import { type NatsServer, skipWithoutNats, startNatsServer } from '../../support/nats-server.js'

const JOBS = Number(process.env.NETREF_JOBS ?? 1000)
const WORKERS = 3
const KILL_EVERY_MS = 700
const PRODUCERS = 50

class WorkerProcess {
  #child!: ChildProcess
  #starts = 0

  constructor(
    private readonly program: string,
    private readonly url: string,
    private readonly notes: string
  ) {}

  async start(): Promise<void> {
    this.#child = fork(this.program, [this.url, this.notes], { env: CHILD_ENV, execArgv: [] })
    this.#starts++
    await once(this.#child, 'message')
  }

  async kill(): Promise<void> {
    const exited = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await exited
  }

  get starts(): number {
    return this.#starts
  }
}

async function buildWorker(t: Test): Promise<[program: string, notes: string]> {
  const dir = t.testdir({})
  const program = join(dir, 'worker.mjs')
  await build({
    entryPoints: [fileURLToPath(new URL('../../support/fixtures/queue-worker.ts', import.meta.url))],
    outfile: program,
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    target: 'node20'
  })
  const notes = join(dir, 'notes.txt')
  writeFileSync(notes, '')
  return [program, notes]
}

/** What job `n` calls: of ten, one fails always, and three are idempotent. */
const methodOf = (n: number) => (n % 10 === 0 ? 'fail' : n % 10 < 4 ? 'again' : 'once')

async function produce(server: NatsServer): Promise<void> {
  await using bus = nats(server.url)
  const { call } = bus.queue<Chaos>('chaos', { ackWait: 1000 })
  let next = 0
  const store = async () => {
    for (let n = next++; n < JOBS; n = next++)
      await Netref.with(call[methodOf(n)], { idempotencyKey: `job ${n}` })(n)
  }
  await Promise.all(Array.from({ length: PRODUCERS }, store))
}

/** Number of jobs that are neither done nor dead letters. */
async function waitingJobs(server: NatsServer): Promise<number> {
  const connection = await connect({ servers: server.url })
  try {
    const manager = await jetstream(connection).jetstreamManager()
    return (await manager.streams.info('netref_chaos')).state.messages
  } finally {
    await connection.close()
  }
}

t.test('no job is lost, and none runs twice', { skip: skipWithoutNats, timeout: 280_000 }, async t => {
  const server = await startNatsServer(t)
  const [program, notes] = await buildWorker(t)
  const workers = Array.from({ length: WORKERS }, () => new WorkerProcess(program, server.url, notes))
  await Promise.all(workers.map(worker => worker.start()))
  t.teardown(() => Promise.all(workers.map(worker => worker.kill())))

  const began = Date.now()
  let isOver = false
  const killWorkers = async () => {
    while (!isOver) {
      await later(KILL_EVERY_MS)
      const worker = workers[Math.floor(Math.random() * WORKERS)]!
      await worker.kill()
      await worker.start()
    }
  }
  const effects = () =>
    readFileSync(notes, 'utf8')
      .split('\n')
      .filter(line => line.startsWith('effect')).length
  const killNats = async () => {
    for (const part of [0.2, 0.5]) {
      while (effects() < part * JOBS) await later(20)
      await server.kill()
      await later(300)
      await server.restart()
    }
  }

  const chaos = [killWorkers(), killNats()]
  await produce(server)
  await chaos[1]
  while ((await waitingJobs(server)) > 0) await later(100)
  const tookMs = Date.now() - began
  isOver = true
  await chaos[0]

  await using bus = nats(server.url)
  const letters = new Map<string, DeadLetter>()
  for await (const letter of bus.queue<Chaos>('chaos', { ackWait: 1000 }).deadLetters()) {
    t.notOk(letters.has(letter.id), 'one letter for a job')
    letters.set(letter.id, letter)
  }
  const counts = new Map<string, number>()
  for (const line of readFileSync(notes, 'utf8').split('\n')) counts.set(line, (counts.get(line) ?? 0) + 1)
  const wrong: string[] = []
  let done = 0
  for (let n = 0; n < JOBS; n++) {
    const method = methodOf(n)
    const letter = letters.get(`job ${n}`)
    const starts = counts.get(`start ${method} ${n}`) ?? 0
    const finished = counts.get(`effect ${method} ${n}`) ?? 0
    if (!letter) done++
    if (method === 'once' && starts > 1) wrong.push(`job ${n} was started ${starts} times`)
    if (!letter && method !== 'fail' && finished === 0) wrong.push(`job ${n} is lost`)
    if (method === 'fail' ? !letter : letter && letter.reason.code !== 'may-have-run')
      wrong.push(`job ${n}: ${letter?.reason.message}`)
  }
  const codes: Record<string, number> = {}
  for (const { reason } of letters.values()) codes[reason.code] = (codes[reason.code] ?? 0) + 1
  t.same(wrong, [])
  t.equal(done + letters.size, JOBS)
  const kills = workers.reduce((sum, { starts }) => sum + starts, 0) - WORKERS
  t.comment(`${JOBS} jobs in ${tookMs} ms, ${kills} workers killed: ${done} done, ${JSON.stringify(codes)}`)
})
