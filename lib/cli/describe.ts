// `netref describe`: describes a service, in words, by OpenRPC, or as types of TypeScript.

import { ExposureError, type RemoteHandle } from '../index.js'
import { toPrintable, toPrintableLines } from '../util/printable.js'
import { withConnection, withMemberHints } from './client.js'
import { type Command, EXIT, parseCommandLine, requireArguments, UsageError } from './command.js'
import { UniqueNames } from './declarations/names.js'
import { SchemaTypes } from './declarations/schema-types.js'
import { serviceDeclarations, signatureText } from './declarations/service-types.js'
import { listOf, type TypeText, UNKNOWN } from './declarations/type-text.js'
import { describePath, isCallable, type Member, type ServiceObject } from './described-service.js'
import { formatJSON } from './json.js'
import { formatPath, parsePath, refAtPath } from './path.js'
import { type Colours, coloursFor, type Terminal, write } from './terminal.js'

export const describe: Command = {
  name: 'describe',
  usage: 'URL [path]',
  summary: 'Describes the functions that you may call, with their types',
  details: [
    'Types come from the schemas of the service. The names of parameters come from its source.',
    'netref describe URL --types > service.d.ts writes types for connect<Service>(url).'
  ].join('\n'),
  options: {
    openrpc: { type: 'boolean', help: 'print a document of OpenRPC, which is JSON' },
    types: { type: 'boolean', help: 'print the declarations of a TypeScript module' }
  },
  async run(argv, terminal) {
    const parsed = parseCommandLine(argv, describe)
    const [url, path = ''] = requireArguments(parsed, 'URL', '[path]')
    const { openrpc, types } = parsed.values
    if (openrpc && types) throw new UsageError('--openrpc and --types exclude each other')
    const names = parsePath(path)
    const text = await withConnection(url!, terminal, conn =>
      withMemberHints(conn, names, async () => {
        if (openrpc) return openRpcText(refAtPath(conn.root, names))
        const objects = await describePath(conn.root, names)
        return types ? moduleText(objects, names.at(-1) ?? 'Service') : overview(objects, terminal)
      })
    ).catch(error => {
      throw isCopied(error) ? new Error(`${path} is data: netref call URL ${path} prints it`) : error
    })
    await write(terminal.stdout, text)
    return EXIT.ok
  }
}

/** Whether what was to be described is sent as a copy. The peer says so in words only. */
const isCopied = (error: unknown): boolean =>
  error instanceof ExposureError && / "keys" cannot be read from .* is sent as a copy/.test(error.message)

async function openRpcText(root: RemoteHandle<unknown>): Promise<string> {
  // Loaded when it is used: few commands need it.
  const { describeByOpenRpc } = await import('../gateways/json-rpc.js')
  return `${formatJSON(await describeByOpenRpc(root), 2)}\n`
}

function moduleText(objects: readonly ServiceObject[], rootName: string): string {
  const header = '// The types of a service of netref. `netref describe --types` wrote them.'
  return `${header}\n\n${toPrintableLines(serviceDeclarations(objects, rootName))}\n`
}

/** A line for each member, its help text below, and the types that they name. */
function overview(objects: readonly ServiceObject[], { stdout, env }: Terminal): string {
  const colours = coloursFor(stdout, env)
  const types = new SchemaTypes(new UniqueNames())
  const described = new Set(
    objects.filter(({ members }) => members.length > 0).map(({ path }) => formatPath(path))
  )
  const lines = objects.flatMap(({ path, members }) =>
    members.flatMap(member => {
      const name = formatPath([...path, member.name])
      const isListed = member.kind === 'object' && described.has(name)
      return isListed ? [] : memberLines(name, member, types, colours)
    })
  )
  const declarations = types.declarations('type').map(text => `\n${toPrintableLines(text)}\n`)
  return [...lines.map(line => `${line}\n`), ...declarations].join('')
}

/** Leaves out what is not known. */
const annotateKnown = ({ text }: TypeText): string =>
  text === UNKNOWN.text || text === listOf(UNKNOWN).text ? '' : `: ${text}`

function memberLines(name: string, member: Member, types: SchemaTypes, { bold, dim }: Colours): string[] {
  const { kind, help, signature } = member
  const text = isCallable(member) ? signatureText(member.name, signature, types, annotateKnown) : ''
  const line = `${bold(toPrintable(name))}${toPrintableLines(text)}${kind === 'function' ? '' : dim(`  ${toPrintable(kind)}`)}`
  return [line, ...(help === '' ? [] : help.split('\n').map(one => `    ${toPrintable(one)}`))]
}
