// Opens the session of a command and closes it when the command ends.
import { type Connection, connect, ExposureError, type NetworkEndpoint } from '../index.js'
import { nearestNames } from '../util/nearest.js'
import { checkUsage } from './command.js'
import { parseNatsAddress, requireServiceName, withBus } from './nats.js'
import { findMissingMember } from './path.js'
import { onInterruption, type Terminal } from './terminal.js'

type TerminalOfClient = Pick<Terminal, 'signal' | 'env'>

/**
 * Runs `use` with a session; the session ends with it, or when the command is interrupted.
 *
 * @param url of a server, or of a service on NATS
 */
export async function withConnection<T>(
  url: string,
  terminal: TerminalOfClient,
  use: (conn: Connection<unknown>) => Promise<T>
): Promise<T> {
  const address = parseNatsAddress(url)
  if (!address) return withConnectionTo(url, terminal, use)
  const name = requireServiceName(address)
  return withBus(address, bus =>
    withConnectionTo(
      checkUsage(() => bus.service(name)),
      terminal,
      use
    )
  )
}

async function withConnectionTo<T>(
  target: string | NetworkEndpoint,
  { signal, env }: TerminalOfClient,
  use: (conn: Connection<unknown>) => Promise<T>
): Promise<T> {
  const conn = openConnection(target, env.NETREF_TOKEN)
  const removeListener = onInterruption(signal, () => void conn.close())
  try {
    return await use(conn)
  } finally {
    removeListener()
    await conn.close()
  }
}

// RegExps are only printed, never executed.
const openConnection = (target: string | NetworkEndpoint, token: string | undefined): Connection<unknown> =>
  checkUsage(() => connect<unknown>(target, { token, limits: { regExpLength: 10_000 } }))

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
