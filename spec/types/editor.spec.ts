// Claims about editors: the members of a netref lead to their declarations in the class of its owner.
import { fileURLToPath } from 'node:url'
import t from 'tap'
import ts from 'typescript'

const root = fileURLToPath(new URL('../..', import.meta.url))
const file = `${root}spec/types/edited.ts`

/** In the text, `§` marks positions. */
const TEXT = `
import { connect, exposed, exposes, Service } from '../../lib/index.js'
class Calculator extends Service {
  static { exposes(Calculator, { §add: true, total: true }) }
  total = 0
  /** Adds two numbers. */
  §add(a: number, b: number) { return a + b }
}
class Clock {
  /** The time. */
  @exposed §now() { return new Date() }
}
const conn = connect<Calculator>('ws://127.0.0.1:1')
conn.root.§add(1, 2)
connect<Clock>('ws://127.0.0.1:1').root.§now()
`
const parts = TEXT.split('§')
const positions = parts.slice(1).map((_, i) => parts.slice(0, i + 1).join('').length)
const text = parts.join('')
const [listed, declared, declaredNow, used, usedNow] = positions as [number, number, number, number, number]

const { config } = ts.readConfigFile(`${root}tsconfig.json`, ts.sys.readFile)
const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root)
const service = ts.createLanguageService({
  getCompilationSettings: () => options,
  getScriptFileNames: () => [file],
  getScriptVersion: () => '1',
  getScriptSnapshot(name) {
    const content = name === file ? text : ts.sys.readFile(name)
    return content === undefined ? undefined : ts.ScriptSnapshot.fromString(content)
  },
  getCurrentDirectory: () => root,
  getDefaultLibFileName: ts.getDefaultLibFilePath,
  fileExists: name => name === file || ts.sys.fileExists(name),
  readFile: ts.sys.readFile,
  readDirectory: ts.sys.readDirectory
})

t.test('a call on a netref leads to the method of the class, with its documentation', async t => {
  t.same(
    service.getSemanticDiagnostics(file).map(({ messageText }) => messageText),
    []
  )
  for (const [at, declaration, documentation] of [
    [used, declared, 'Adds two numbers.'],
    [usedNow, declaredNow, 'The time.']
  ] as const) {
    const definitions = service.getDefinitionAtPosition(file, at) ?? []
    t.same(
      definitions.map(({ textSpan }) => textSpan.start),
      [declaration]
    )
    const info = service.getQuickInfoAtPosition(file, at)
    t.equal(ts.displayPartsToString(info?.documentation), documentation)
  }
})

t.test('renaming a method renames it in its list, and where it is called', async t => {
  for (const from of [listed, declared, used]) {
    const found = service.findRenameLocations(file, from, false, false, {}) ?? []
    t.same(
      found.map(({ textSpan }) => textSpan.start).sort((a, b) => a - b),
      [listed, declared, used]
    )
  }
})
