// The load balancers of the guide, with the configurations that it shows (`demos/guide/load-balancers.md`).
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'
import { freePort, startProxy } from './proxies.js'

const guide = readFileSync(new URL('../../demos/guide/load-balancers.md', import.meta.url), 'utf8')
const recipe = (language: string) => new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, 'ms').exec(guide)![1]!

const NGINX_HEAD = 'daemon off; master_process off; pid nginx.pid; error_log stderr; events {}'
const NGINX_PATHS = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  .map(kind => `${kind}_temp_path tmp;`)
  .join(' ')

export const nginx = {
  name: 'nginx',
  configuration: `${NGINX_HEAD} http { access_log off; ${NGINX_PATHS}\n${recipe('nginx')} }`,
  run: ['nginx', '-p', '.', '-c', 'proxy.conf', '-e', 'stderr']
}

export const haproxy = {
  name: 'HAProxy',
  configuration: recipe('haproxy'),
  run: ['haproxy', '-db', '-f', 'proxy.conf']
}

/** Starts a load balancer in front of instances on these ports. @returns its port */
export async function startLoadBalancer(
  t: Test,
  { configuration, run }: typeof nginx,
  instances: readonly number[]
): Promise<number> {
  const port = await freePort()
  const localized = instances
    .reduce((text, local, i) => text.replaceAll(`10.0.0.${i + 1}:18861`, `127.0.0.1:${local}`), configuration)
    .replace('listen 80;', `listen 127.0.0.1:${port};`)
    .replace('bind :80', `bind 127.0.0.1:${port}`)
  const dir = t.testdir({})
  await writeFile(join(dir, 'proxy.conf'), localized)
  await startProxy(t, dir, run, port)
  return port
}
