// A session for a command, which ends with it.
import { type Connection, connect, ExposureError } from '../index.js'
import { UsageError } from './command.js'
import { findMissingMember, nearestNames } from './path.js'
import type { Terminal } from './terminal.js'

/** Uses a session with the server at `url`; it ends when that is done, or is interrupted. */
export async function withConnection<T>(
  url: string,
  { signal, env }: Pick<Terminal, 'signal' | 'env'>,
  use: (conn: Connection<unknown>) => Promise<T>
): Promise<T> {
  const conn = openTransport(url, env.NETREF_TOKEN)
  const interrupt = () => void conn.close()
  signal.addEventListener('abort', interrupt, { once: true })
  try {
    return await use(conn)
  } finally {
    signal.removeEventListener('abort', interrupt)
    await conn.close()
  }
}

function openTransport(url: string, token: string | undefined): Connection<unknown> {
  try {
    // A RegExp is printed here, and used on no text.
    return connect<unknown>(url, { token, limits: { regExpLength: 10_000 } })
  } catch (error) {
    throw new UsageError((error as Error).message.replace('connect: ', ''))
  }
}

/** Does something with what stands at a path. @throws where that is not there an Error that says what is */
export async function withMemberHints<T>(
  { root }: Connection<unknown>,
  names: readonly string[],
  use: () => Promise<T>
): Promise<T> {
  try {
    return await use()
  } catch (error) {
    const found = error instanceof ExposureError ? await findMissingMember(root, names) : undefined
    if (!found) throw error
    const { name, at, members } = found
    const known = members.map(member => member.name)
    const suggestions = nearestNames(name, known)
    const hint = suggestions.length > 0 ? `did you mean ${suggestions.join(' or ')}?` : memberList(known)
    throw new Error(`${at} has no ${name} that you may use: ${hint}`, { cause: error })
  }
}

const memberList = (names: readonly string[]) =>
  names.length === 0
    ? 'it has nothing'
    : `it has ${names.slice(0, 10).join(', ')}${names.length > 10 ? ', …' : ''}`
