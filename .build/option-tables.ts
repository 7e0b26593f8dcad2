// The tables of options in the guide, made from the docstrings of the interfaces.
import { readFileSync } from 'node:fs'
import ts from 'typescript'

/** The files that declare the options of `serve`, `connect` and `pair`, and what these extend. */
const FILES = [
  'lib/access/access-control.ts',
  'lib/access/peer-call.ts',
  'lib/client/options.ts',
  'lib/client/pair.ts',
  'lib/protocol/limits.ts',
  'lib/server/gateway.ts',
  'lib/server/options.ts',
  'lib/server/origin-check.ts',
  'lib/session/idempotency.ts',
  'lib/session/options.ts'
]

interface Table {
  readonly title: string
  readonly interfaceName: string
  readonly text: string
  /** The interface of options that another table has. */
  readonly without?: string
}

const TABLES: readonly Table[] = [
  {
    title: '`serve(service, options)`',
    interfaceName: 'ServeOptions',
    without: 'CommonOptions',
    text: 'These, and the options of both ends.'
  },
  {
    title: '`connect(url, options)`',
    interfaceName: 'ConnectOptions',
    without: 'CommonOptions',
    text: 'These, and the options of both ends. In Node the options of `ws` and of TLS apply, too.'
  },
  {
    title: '`reconnect` of `connect`',
    interfaceName: 'ReconnectOptions',
    text: '`reconnect: false` ends the session with its socket.'
  },
  {
    title: '`pair(service, options)`',
    interfaceName: 'PairOptions',
    without: 'CommonOptions',
    text: 'These, and the options of both ends for the client end.'
  },
  {
    title: 'Options of both ends',
    interfaceName: 'CommonOptions',
    text: 'For `serve`, `connect` and `pair`, and for `serving` of `pair`.'
  },
  {
    title: 'Options of each gateway',
    interfaceName: 'GatewayOptions',
    text: 'For all gateways of netref, and for gateways of your own that take them.'
  },
  {
    title: '`limits`',
    interfaceName: 'Limits',
    text: 'Each side sets what it accepts from its peer. All limits are numbers.'
  }
]

const HEADER = `# Options

This page is made from the docstrings (\`npm run guide:options\`). An unknown option is a TypeError that names the nearest
one. In Node, \`connect\` passes a name that resembles none of its own to \`ws\` and TLS. An option that is \`undefined\` counts as
not given.
`

const interfaces = new Map<string, ts.InterfaceDeclaration>()
for (const file of FILES) {
  const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true)
  for (const node of source.statements)
    if (ts.isInterfaceDeclaration(node)) interfaces.set(node.name.text, node)
}

/** The members of an interface and of all that it extends, by name. */
function membersOf(name: string): Map<string, ts.TypeElement> {
  const declaration = interfaces.get(name)
  /* c8 ignore next: only a mistake in this file gets here. */
  if (!declaration) throw new Error(`option tables: no file declares ${name}; add it to FILES`)
  const members = new Map<string, ts.TypeElement>()
  for (const { types } of declaration.heritageClauses ?? [])
    for (const { expression } of types)
      for (const [key, member] of membersOf(expression.getText())) members.set(key, member)
  for (const member of declaration.members) members.set(member.name!.getText(), member)
  return members
}

const cell = (text: string) => text.replace(/\s+/g, ' ').trim().replaceAll('|', '\\|')

function row(name: string, member: ts.TypeElement): string {
  const [doc] = member.getChildren().filter(ts.isJSDoc)
  const fallback = ts.getJSDocTags(member).find(({ tagName }) => tagName.text === 'default')
  const meaning = ts.getTextOfJSDocComment(doc?.comment)
  /* c8 ignore next: only an option without a docstring gets here. */
  if (!meaning) throw new Error(`option tables: ${name} has no docstring`)
  const of = ts.getTextOfJSDocComment(fallback?.comment) ?? '–'
  return `| \`${name}\` | ${cell(of)} | ${cell(meaning)} |`
}

/** The text of `demos/guide/options.md`. */
export function optionTables(): string {
  const sections = TABLES.map(({ title, text, interfaceName, without }) => {
    const elsewhere = without === undefined ? new Map() : membersOf(without)
    const rows = [...membersOf(interfaceName)]
      .filter(([name]) => !elsewhere.has(name))
      .sort(([a], [b]) => a.localeCompare(b, 'en'))
    const lines = rows.map(([name, member]) => row(name, member))
    return `## ${title}\n\n${text}\n\n| option | default | meaning |\n|---|---|---|\n${lines.join('\n')}\n`
  })
  return [HEADER, ...sections].join('\n')
}
