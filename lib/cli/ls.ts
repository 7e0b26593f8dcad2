// `netref ls`: what is there.
import { type Description, Netref } from '../index.js'
import { printable } from '../util/printable.js'
import { withMember, withServer } from './client.js'
import { argumentsOf, type Command, EXIT, parse } from './command.js'
import { columns } from './help.js'
import { follow, parsePath } from './path.js'
import { coloursFor, print, type Terminal } from './terminal.js'

export const ls: Command = {
  name: 'ls',
  usage: 'URL [path]',
  summary: 'Lists the members that you may use',
  options: {},
  async run(argv, terminal) {
    const [url, path = ''] = argumentsOf(parse(argv, ls), 'URL', '[path]')
    const names = parsePath(path)
    const members = await withServer(url!, terminal, conn =>
      withMember(conn, names, () => Netref.describe(follow(conn.root, names)))
    )
    for (const line of table(members, terminal)) await print(terminal, line)
    return EXIT.ok
  }
}

const signature = ({ name, kind, parameters }: Description) =>
  printable(kind === 'function' || kind === 'class' ? `${name}(${(parameters ?? ['…']).join(', ')})` : name)

function table(members: readonly Description[], { stdout, env }: Terminal): string[] {
  const { bold, dim } = coloursFor(stdout, env)
  const rows = members.map(member => [
    signature(member),
    printable(String(member.kind)),
    printable(String(member.help ?? ''))
  ])
  return columns(rows, '').map((line, i) => {
    const [name, kind] = rows[i] as [string, string]
    const at = line.indexOf(kind, name.length)
    return bold(name) + line.slice(name.length, at) + dim(kind) + line.slice(at + kind.length)
  })
}
