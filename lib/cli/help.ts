// Formats the texts of `--help`.
import type { Command } from './command.js'
import { type Colours, coloursFor, type Terminal } from './terminal.js'

const HELP = ['-h, --help', 'show this help'] as const

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
    'Calls the objects of another program from the command line.',
    '',
    `${bold('Usage')}  netref COMMAND …`,
    '',
    ...columns(commands.map(({ name, usage, summary }) => [`${name} ${usage}`, summary])),
    '',
    ...columns([
      ['COMMAND --help', 'show the help of a command'],
      HELP.slice(),
      ['--version', 'show the version of netref']
    ]),
    '',
    'URL is ws://HOST:PORT, wss://HOST, or nats://HOST:PORT/NAME for a service on NATS.',
    'If the server requires a token, set $NETREF_TOKEN.',
    '',
    ...exitCodes(bold),
    ''
  ].join('\n')
}

const exitCodes = (bold: Colours['bold']) => [
  bold('Exit codes'),
  ...columns([
    ['0', 'success'],
    ['1', 'the call failed'],
    ['2', 'the command line is invalid'],
    ['3', 'the server cannot be reached, or the session ended'],
    ['130', 'the command was interrupted']
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
