// Tests the API reference: every public name has a docstring, and the examples of the docstrings compile.
import { spawnSync } from 'node:child_process'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { Application, type DeclarationReflection, LogLevel, ReflectionKind } from 'typedoc'

const root = fileURLToPath(new URL('../..', import.meta.url))
const app = await Application.bootstrap({
  options: join(root, '.build/typedoc.json'),
  logLevel: LogLevel.Warn,
  // A checkout need not have a remote repository.
  disableSources: true
})
const project = (await app.convert())!

/** The examples, by the name of the first declaration that has them. */
const examples = new Map<string, string>()
for (const reflection of Object.values(project.reflections))
  for (const { tag, content } of reflection.comment?.blockTags ?? [])
    if (tag === '@example') {
      const text = content.map(part => part.text).join('')
      const [, code = text] = /^```ts\n(.*)\n```$/s.exec(text.trim()) ?? []
      if (!examples.has(code)) examples.set(code, reflection.getFullName())
    }

/** What the examples use and do not declare. */
const CONTEXT = `
import { connect, expose, type Netref, type PeerCall, Service, serve, type Session } from 'netref'
import type { Bus, Queue } from 'netref/nats'

export interface Doc { title: string; text: string; then: string; save(): void }
export interface TextFile { readlines(): string[] }
export type Listener = (text: string) => void
export interface Demo {
  add(a: number, b: number): number
  blur(bytes: Uint8Array): Uint8Array
  each(lines: string[], use: Netref<(line: string) => void>): void
  edit(doc: Netref<Doc>): void
  line_counter(file: Netref<TextFile>, noisy: Netref<(line: string) => void>): number
  list(filter: string): string[]
  log(line: string): void
  open(path: string): TextFile
  pay(amount: number): void
  search(words: string): string[]
  secret(): void
}
export class Calculator extends Service {
  exposed_add(a: number, b: number) { return a + b }
}
export class Shop extends Service {}
export class LineCounter extends Service {}
export interface Price { symbol: string; price: number }
export interface Todos { list(filter: string): string[] }
export class NotFound extends Error {}
export class Point { constructor(readonly x: number, readonly y: number) {} }
export const server = await serve(Shop)
export const url = server.url
export const conn = connect<Demo>(url)
export const worker = conn
export const { root, session } = conn
export const doc: Doc = expose({ title: '', text: '', then: '', save() {} })
export declare const file: TextFile
export declare const ref: Netref<Doc>
export declare const book: Netref<{ title: string; author: string; print(): void }>
export declare class Worker {
  constructor(url: string, options: { type: 'module' })
  postMessage(message: unknown, transfer: never[]): void
}
export declare const bus: Bus
export class Mailer extends Service {
  exposed_send(_mail: { to: string }) {}
}
export declare const mail: Queue<Mailer>
export declare const signal: AbortSignal
export declare const lines: string[]
export declare const filter: string
export declare const image: { data: Uint8Array }
export declare const topics: Map<string, Set<Listener | Netref<Listener>>>
export declare const sessions: Map<string | undefined, { name: string }>
export declare const users: { byToken(token: string | undefined): { name: string } | undefined }
export declare const audit: { write(line: string): void }
export declare const log: { error(...parts: unknown[]): void }
export declare const isEditor: (session: Session) => boolean
export declare const authenticate: () => string
export declare const redis: {
  get(name: string): Promise<string | null>
  set(name: string, text: string, options: { EX: number }): Promise<void>
}
`

/** What users import: `netref/rpyc` for the module `gateways/rpyc`. */
const packageEntry = (entry: string) => (entry === 'index' ? 'netref' : `netref/${basename(entry)}`)

/** The names of the entries and of the context. */
const NAMES = new Map<string, string>([
  ...project.children!.flatMap(({ name: entry, children = [] }) =>
    entry === 'lite' ? [] : children.map(({ name }): [string, string] => [name, packageEntry(entry)])
  ),
  ...[...CONTEXT.matchAll(/^export (?:declare )?(?:const|class|interface|type) (?:{ (\w+), (\w+) }|(\w+))/gm)]
    .flatMap(([, ...names]) => names.filter(name => name !== undefined))
    .map((name): [string, string] => [name!, './context.js'])
])

/** A program with an example. The example is in a function, so it may declare names of the context anew. */
const program = (code: string) => `
import assert from 'node:assert'
import { type } from 'arktype'
import express from 'express'
import * as z from 'zod'
${[...NAMES].map(([name, module]) => `import { ${name} } from '${module}'`).join('\n')}
${(code.match(/^import .*$/gm) ?? []).join('\n')}
const app = express()
export async function example() {
${code.replace(/^import .*$/gm, '')}
}
`

t.test('every public name has a docstring', t => {
  app.validate(project)
  t.equal(app.logger.errorCount + app.logger.warningCount, 0, 'if not, `npm run reference` names it')
  t.end()
})

t.test('every public function, and every class but those of errors, has an example', t => {
  const declarations = project.getReflectionsByKind(ReflectionKind.Function | ReflectionKind.Class)
  const lacking = (declarations as DeclarationReflection[])
    .filter(({ name }) => !name.endsWith('Error'))
    .filter(({ comment, signatures = [] }) =>
      [comment, ...signatures.map(signature => signature.comment)].every(one => !one?.getTag('@example'))
    )
  t.same(
    lacking.map(one => one.getFullName()),
    []
  )
  t.end()
})

t.test('every example of the docstrings compiles', async t => {
  const programs = [...examples].map(([code, name], i) => [`${i + 1} ${basename(name)}.ts`, program(code)])
  t.ok(programs.length > 50)
  const dir = t.testdir({
    'context.ts': CONTEXT,
    ...Object.fromEntries(programs),
    'tsconfig.json': JSON.stringify({
      extends: join(root, 'tsconfig.json'),
      compilerOptions: {
        noUnusedLocals: false,
        isolatedModules: false,
        verbatimModuleSyntax: false,
        paths: {
          netref: [join(root, 'lib/index.ts')],
          'netref/*': [
            join(root, 'lib/*.ts'),
            join(root, 'lib/gateways/*.ts'),
            join(root, 'lib/adapters/*.ts')
          ]
        }
      },
      include: ['*']
    })
  })
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  const compiled = spawnSync(process.execPath, [tsc, '-p', dir], { encoding: 'utf8' })
  t.equal(compiled.stdout, '')
})
