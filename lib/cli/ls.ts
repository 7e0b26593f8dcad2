// `netref ls`: lists members.
import { type Description, Netref } from '../index.js'
import { toPrintable } from '../util/printable.js'
import { withConnection, withMemberHints } from './client.js'
import { type Command, EXIT, parseCommandLine, requireArguments } from './command.js'
import { columns } from './help.js'
import { parseNatsAddress, printInstances } from './nats.js'
import { parsePath, refAtPath } from './path.js'
import { coloursFor, print, type Terminal } from './terminal.js'

export const ls: Command = {
  name: 'ls',
  usage: 'URL [path]',
  summary: 'Lists the members that you may use',
  details:
    'netref ls nats://localhost:4222 lists the instances of the services on NATS: id, version, sessions, metadata.',
  options: {},
  async run(argv, terminal) {
    const [url, path = ''] = requireArguments(parseCommandLine(argv, ls), 'URL', '[path]')
    const names = parsePath(path)
    const address = parseNatsAddress(url!)
    if (address?.name === '' && path === '') return printInstances(address, terminal)
    const members = await withConnection(url!, terminal, conn =>
      withMemberHints(conn, names, () => Netref.describe(refAtPath(conn.root, names)))
    )
    for (const line of table(members, terminal)) await print(terminal, line)
    return EXIT.ok
  }
}

const signature = ({ name, kind, parameters }: Description) =>
  toPrintable(kind === 'function' || kind === 'class' ? `${name}(${(parameters ?? ['…']).join(', ')})` : name)

function table(members: readonly Description[], { stdout, env }: Terminal): string[] {
  const { bold, dim } = coloursFor(stdout, env)
  const rows = members.map(member => [
    signature(member),
    toPrintable(String(member.kind)),
    toPrintable(String(member.help ?? ''))
  ])
  return columns(rows, '').map((line, i) => {
    const [name, kind] = rows[i] as [string, string]
    const at = line.indexOf(kind, name.length)
    return bold(name) + line.slice(name.length, at) + dim(kind) + line.slice(at + kind.length)
  })
}
