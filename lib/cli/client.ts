// A session for a command, which ends with it.
import { type Connection, connect, ExposureError } from '../index.js'
import { UsageError } from './command.js'
import { missing, nearest } from './path.js'
import type { Terminal } from './terminal.js'

/** Uses a session with the server at `url`; it ends when that is done, or is interrupted. */
export async function withServer<T>(
  url: string,
  { signal, env }: Pick<Terminal, 'signal' | 'env'>,
  use: (conn: Connection<unknown>) => Promise<T>
): Promise<T> {
  const conn = open(url, env.NETREF_TOKEN)
  const interrupt = () => void conn.close()
  signal.addEventListener('abort', interrupt, { once: true })
  try {
    return await use(conn)
  } finally {
    signal.removeEventListener('abort', interrupt)
    await conn.close()
  }
}

function open(url: string, token: string | undefined): Connection<unknown> {
  try {
    // A RegExp is printed here, and used on no text.
    return connect<unknown>(url, { token, limits: { regExpLength: 10_000 } })
  } catch (error) {
    throw new UsageError((error as Error).message.replace('connect: ', ''))
  }
}

/** Does something with what stands at a path. @throws where that is not there an Error that says what is */
export async function withMember<T>(
  { root }: Connection<unknown>,
  names: readonly string[],
  use: () => Promise<T>
): Promise<T> {
  try {
    return await use()
  } catch (error) {
    const there = error instanceof ExposureError ? await missing(root, names) : undefined
    if (!there) throw error
    const { name, at, members } = there
    const known = members.map(member => member.name)
    const meant = nearest(name, known)
    const cure = meant.length > 0 ? `did you mean ${meant.join(' or ')}?` : listOf(known)
    throw new Error(`${at} has no ${name} that you may use: ${cure}`, { cause: error })
  }
}

const listOf = (names: readonly string[]) =>
  names.length === 0
    ? 'it has nothing'
    : `it has ${names.slice(0, 10).join(', ')}${names.length > 10 ? ', …' : ''}`
