// Creates certificates for one test run with the `openssl` command.
import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Test } from 'tap'

const run = promisify(execFile)

interface Pair {
  readonly key: string
  readonly cert: string
}

/** A CA; a server and the client `ada`, signed by it; and `eve`, self-signed. */
export async function certificates(
  t: Test
): Promise<{ dir: string; ca: string; server: Pair; ada: Pair; eve: Pair }> {
  const dir = t.testdir({ 'server.ext': 'subjectAltName=DNS:localhost,IP:127.0.0.1\n', 'client.ext': '\n' })
  const openssl = (...args: string[]) => run('openssl', args, { cwd: dir })
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  const selfSigned = (name: string, subject: string) =>
    openssl(
      'req',
      '-x509',
      ...newKey,
      '-days',
      '2',
      '-subj',
      `/CN=${subject}`,
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.crt`
    )
  const signed = async (name: string, subject: string, extensions: string) => {
    await openssl(
      'req',
      ...newKey,
      '-subj',
      `/CN=${subject}`,
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.csr`
    )
    await openssl(
      'x509',
      '-req',
      '-in',
      `${name}.csr`,
      '-CA',
      'ca.crt',
      '-CAkey',
      'ca.key',
      '-CAcreateserial',
      '-days',
      '2',
      '-extfile',
      extensions,
      '-out',
      `${name}.crt`
    )
  }
  await selfSigned('ca', 'the ca')
  await selfSigned('eve', 'ada')
  await signed('server', 'localhost', 'server.ext')
  await signed('ada', 'ada', 'client.ext')
  const read = (file: string) => readFile(join(dir, file), 'utf8')
  const pair = async (name: string): Promise<Pair> => ({
    key: await read(`${name}.key`),
    cert: await read(`${name}.crt`)
  })
  const server = await pair('server')
  // Both in one file, as HAProxy requires.
  await writeFile(join(dir, 'server.pem'), server.cert + server.key)
  return { dir, ca: await read('ca.crt'), server, ada: await pair('ada'), eve: await pair('eve') }
}
