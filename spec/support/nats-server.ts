// Starts real nats-servers, which specs kill and start again.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setImmediate as turn } from 'node:timers/promises'
import type { Test } from 'tap'
import { skipUnlessInstalled } from './installed-programs.js'

/** Why a spec that needs a nats-server is skipped; false if it is installed. */
export const skipWithoutNats = skipUnlessInstalled('nats-server')

export interface NatsServerOptions {
  /** Text of a configuration file, for what has no option here: users, permissions, `max_payload`. */
  readonly config?: string
  /** @default a free port */
  readonly port?: number
  /** Whether it has JetStream, and so queues and kept topics. @default true, but false in a cluster */
  readonly jetstream?: boolean
  /** Makes it a server of a cluster, which connects to the servers at `routes` (their `clusterUrl`). */
  readonly cluster?: { readonly routes: readonly string[] }
}

/** A nats-server on 127.0.0.1. It keeps its ports and what it has stored when it is started again. */
export interface NatsServer {
  readonly url: string
  readonly port: number
  /** The address for other servers of the cluster; undefined outside a cluster. */
  readonly clusterUrl: string | undefined
  /** The id of its present or last process. */
  readonly pid: number
  /** Ends the process by a signal. Resolves when it has ended. @default 'SIGKILL' */
  kill(signal?: NodeJS.Signals): Promise<void>
  /** Stops the process, which stays, and reads and writes nothing more. Resolves when it has stopped. */
  pause(): Promise<void>
  /** Kills the process, if it runs, and starts another. Resolves when that accepts connections. */
  restart(): Promise<void>
}

/**
 * Starts a nats-server, and waits until it accepts connections, and has joined the cluster. The end of the test kills it and
 * removes its files.
 */
export async function startNatsServer(
  t: Pick<Test, 'teardown'>,
  { config = '', port = -1, cluster, jetstream = !cluster }: NatsServerOptions = {}
): Promise<NatsServer> {
  const dir = mkdtempSync(join(tmpdir(), 'netref-nats-'))
  writeFileSync(join(dir, 'nats.conf'), config)
  let clusterPort = -1
  let server: ChildProcess

  const start = async (readyLine: RegExp) => {
    const args = ['-c', join(dir, 'nats.conf'), '-a', '127.0.0.1', '-p', String(port)]
    if (jetstream) args.push('-js', '-sd', dir)
    if (cluster) {
      args.push('-cluster_name', 'netref', '-cluster', `nats://127.0.0.1:${clusterPort}`)
      if (cluster.routes.length > 0) args.push('-routes', cluster.routes.join(','))
    }
    server = spawn('nats-server', args, { stdio: ['ignore', 'ignore', 'pipe'] })
    const log: string[] = []
    const lines = createInterface(server.stderr!).on('line', line => {
      log.push(line)
      const [, kind, found] = /Listening for (client|route) connections on \S+:(\d+)/.exec(line) ?? []
      if (kind === 'client') port = Number(found)
      if (kind === 'route') clusterPort = Number(found)
      if (readyLine.test(line)) lines.emit('ready')
    })
    const ended = once(server, 'exit').then(() => {
      throw new Error(`nats-server ended:\n${log.join('\n')}`)
    })
    await Promise.race([once(lines, 'ready'), ended])
    log.length = 0
    lines.removeAllListeners('line').resume()
  }
  const kill = async (signal: NodeJS.Signals = 'SIGKILL') => {
    if (server.exitCode !== null || server.signalCode !== null) return
    const ended = once(server, 'exit')
    server.kill(signal)
    await ended
  }

  t.teardown(async () => {
    await kill()
    rmSync(dir, { recursive: true })
  })
  // A server of a cluster is ready before it listens for routes.
  const listens = cluster ? /Listening for route/ : /Server is ready/
  await start(cluster && cluster.routes.length > 0 ? /Route connection created/ : listens)
  return {
    url: `nats://127.0.0.1:${port}`,
    port,
    clusterUrl: cluster && `nats://127.0.0.1:${clusterPort}`,
    get pid() {
      return server.pid!
    },
    kill,
    async pause() {
      server.kill('SIGSTOP')
      while (!readFileSync(`/proc/${server.pid}/stat`, 'utf8').includes(') T ')) await turn()
    },
    async restart() {
      await kill()
      await start(listens)
    }
  }
}
