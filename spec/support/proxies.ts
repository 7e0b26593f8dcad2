// Starts proxies, such as nginx and HAProxy.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import type { Test } from 'tap'

export async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise(resolve => server.close(resolve))
  return port
}

/** Starts a proxy, and waits until it accepts connections. */
export async function startProxy(
  t: Test,
  dir: string,
  [program, ...args]: string[],
  port: number
): Promise<void> {
  const proxy = spawn(program!, args, { cwd: dir, stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  proxy.stderr!.on('data', data => {
    said += data
  })
  t.teardown(async () => {
    if (proxy.exitCode !== null) return
    proxy.kill('SIGKILL')
    await once(proxy, 'exit')
  })
  let listens = false
  while (!listens) {
    if (proxy.exitCode !== null) throw new Error(`${program} ended: ${said}`)
    const socket = net.connect(port, '127.0.0.1')
    listens = await new Promise(resolve => {
      socket.once('connect', () => resolve(true))
      socket.once('error', () => resolve(false))
    })
    socket.destroy()
  }
}
