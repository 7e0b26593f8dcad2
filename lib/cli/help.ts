// Formats the texts of `--help`.
import type { Command } from './command.js'
import { type Colours, coloursFor, type Terminal } from './terminal.js'

const HELP = ['-h, --help', 'this text'] as const

/** Aligns rows in columns. */
export function columns(rows: readonly (readonly string[])[], indent = '  '): string[] {
  const widths: number[] = []
  for (const row of rows) {
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length)
  }
  return rows.map(row => (indent + row.map((cell, i) => cell.padEnd(widths[i]! + 2)).join('')).trimEnd())
}

export function generalHelp(commands: readonly Command[], { stdout, env }: Terminal): string {
  const { bold } = coloursFor(stdout, env)
  return [
    'Uses the objects of another program from the command line.',
    '',
    `${bold('Usage')}  netref COMMAND …`,
    '',
    ...columns(commands.map(({ name, usage, summary }) => [`${name} ${usage}`, summary])),
    '',
    ...columns([
      ['COMMAND --help', 'more on a command'],
      HELP.slice(),
      ['--version', 'the version of netref']
    ]),
    '',
    'Where a server asks for a token, it is taken from $NETREF_TOKEN.',
    '',
    ...exitCodes(bold),
    ''
  ].join('\n')
}

const exitCodes = (bold: Colours['bold']) => [
  bold('Exit codes'),
  ...columns([
    ['0', 'it is done'],
    ['1', 'the call failed'],
    ['2', 'it was not called as it is meant to be'],
    ['3', 'the server cannot be reached, or the session ended'],
    ['130', 'it was interrupted']
  ])
]

export function helpOf(
  { name, usage, summary, details, options }: Command,
  { stdout, env }: Terminal
): string {
  const { bold } = coloursFor(stdout, env)
  const rows = Object.entries(options).map(([option, { short, value, help }]) => [
    `${short ? `-${short}, ` : '    '}--${option}${value ? ` ${value}` : ''}`,
    help
  ])
  const text = [`${bold('Usage')}  netref ${name} ${usage}`, '', `${summary}.`, '']
  if (details) text.push(details, '')
  return [...text, ...columns([...rows, HELP.slice()]), ''].join('\n')
}
