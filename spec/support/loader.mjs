// Loads TypeScript in the processes of the tests: the compiler's output is kept, for the next process that loads the same text.
// tap's own loader compiles all of lib anew in each process. tsx is fast, but writes its output in one line: c8 counts each line as run.
/* c8 ignore start: the hooks run in a thread of their own */
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { createRequire, register } from 'node:module'
import { fileURLToPath } from 'node:url'
import { isMainThread } from 'node:worker_threads'

const require = createRequire(import.meta.url)
const { version } = require('typescript/package.json')
const config = readFileSync(new URL('../../tsconfig.json', import.meta.url), 'utf8')
const kept = fileURLToPath(new URL('../../node_modules/.cache/netref/', import.meta.url))

// Node runs the hooks in a thread of their own, which loads this module again.
if (isMainThread) register(import.meta.url)

export async function resolve(specifier, context, next) {
  try {
    return await next(specifier, context)
  } catch (error) {
    if (!/^(\.|\/|file:).*\.js($|\?)/.test(specifier)) throw error
    return next(specifier.replace(/\.js(?=$|\?)/, '.ts'), context)
  }
}

export async function load(url, context, next) {
  if (!url.startsWith('file:') || !/\.ts($|\?)/.test(url)) return next(url, context)
  const path = fileURLToPath(url)
  return { format: 'module', source: compiled(path, readFileSync(path, 'utf8')), shortCircuit: true }
}

/** One file is kept for each module: its last line says what it was made of. */
function compiled(path, text) {
  const file = `${kept}${hash(path)}.js`
  const key = `\n//${hash([version, config, text].join('\n'))}`
  try {
    const source = readFileSync(file, 'utf8')
    if (source.endsWith(key)) return source
  } catch {
    // It is compiled for the first time.
  }
  const source = compile(path, text) + key
  mkdirSync(kept, { recursive: true })
  // Other processes never read a part of it.
  writeFileSync(`${file}.${process.pid}`, source)
  renameSync(`${file}.${process.pid}`, file)
  return source
}

const hash = text => createHash('sha256').update(text).digest('hex')

function compile(path, text) {
  const ts = require('typescript')
  const { compilerOptions } = ts.parseConfigFileTextToJson('tsconfig.json', config).config
  const options = { ...compilerOptions, module: 'ESNext', inlineSourceMap: true, inlineSources: true }
  const { outputText, diagnostics } = ts.transpileModule(text, {
    fileName: path,
    compilerOptions: options,
    reportDiagnostics: true
  })
  if (diagnostics.length > 0)
    throw new SyntaxError(ts.flattenDiagnosticMessageText(diagnostics[0].messageText, '\n'))
  return outputText
}
