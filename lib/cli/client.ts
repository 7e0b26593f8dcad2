// Opens the session of a command and closes it when the command ends.
import { type Connection, connect, ExposureError } from '../index.js'
import { nearestNames } from '../util/nearest.js'
import { checkUsage } from './command.js'
import { findMissingMember } from './path.js'
import { onInterruption, type Terminal } from './terminal.js'

/** Runs `use` with a session; the session ends with it, or when the command is interrupted. */
export async function withConnection<T>(
  url: string,
  { signal, env }: Pick<Terminal, 'signal' | 'env'>,
  use: (conn: Connection<unknown>) => Promise<T>
): Promise<T> {
  const conn = openConnection(url, env.NETREF_TOKEN)
  const removeListener = onInterruption(signal, () => void conn.close())
  try {
    return await use(conn)
  } finally {
    removeListener()
    await conn.close()
  }
}

// RegExps are only printed, never executed.
const openConnection = (url: string, token: string | undefined): Connection<unknown> =>
  checkUsage(() => connect<unknown>(url, { token, limits: { regExpLength: 10_000 } }))

/** Runs `use` on the member at a path. @throws Error that lists the existing members if the member does not exist */
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
    throw new Error(`${at} has no accessible member ${name}: ${hint}`, { cause: error })
  }
}

const memberList = (names: readonly string[]) =>
  names.length === 0
    ? 'it has no members'
    : `its members are ${names.slice(0, 10).join(', ')}${names.length > 10 ? ', …' : ''}`
