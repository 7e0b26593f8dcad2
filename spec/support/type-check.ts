// Checks TypeScript modules that are texts, with the options of this repository.
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const root = fileURLToPath(new URL('../..', import.meta.url))
/** Where the modules are. They import `../../lib/index.js`. */
const FOLDER = `${root}spec/support/`

const { config } = ts.readConfigFile(`${root}tsconfig.json`, ts.sys.readFile)
const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root)
const LIBRARY = `${FOLDER}library.d.ts`
/** Declares what the compiler itself needs, which is enough for types without names of a library. */
const LIBRARY_TEXT = ['Array<T> { length: number; [index: number]: T }', 'Boolean {}', 'CallableFunction {}']
  .concat([
    'Function {}',
    'IArguments {}',
    'NewableFunction {}',
    'Number {}',
    'Object {}',
    'RegExp {}',
    'String {}'
  ])
  .map(declaration => `interface ${declaration}`)
  .join('\n')

/**
 * What the compiler says of modules.
 *
 * @param files texts by name
 */
export function diagnosticsOf(files: Readonly<Record<string, string>>): string[] {
  return check(new Map(Object.entries(files).map(([name, text]) => [FOLDER + name, text])), options)
}

/** As `diagnosticsOf`, for a module that imports nothing. It takes milliseconds. */
export function diagnosticsOfTypes(text: string): string[] {
  const files = new Map([[`${FOLDER}module.ts`, text]])
  return check(files, { strict: true, noLib: true, types: [], noEmit: true }, LIBRARY)
}

function check(
  files: ReadonlyMap<string, string>,
  compilerOptions: ts.CompilerOptions,
  library?: string
): string[] {
  const names = [...files.keys()]
  const host = ts.createCompilerHost(compilerOptions)
  const { getSourceFile, fileExists, readFile } = host
  const textOf = (name: string) => (name === library ? LIBRARY_TEXT : files.get(name))
  host.getSourceFile = (name, languageVersion) => {
    const text = textOf(name)
    return text === undefined
      ? getSourceFile(name, languageVersion)
      : ts.createSourceFile(name, text, languageVersion, true)
  }
  host.fileExists = name => textOf(name) !== undefined || fileExists(name)
  host.readFile = name => textOf(name) ?? readFile(name)
  const program = ts.createProgram(library ? [...names, library] : names, compilerOptions, host)
  return names.flatMap(name => {
    const file = program.getSourceFile(name)
    return [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)].map(
      ({ messageText, start = 0 }) => {
        const { line } = file!.getLineAndCharacterOfPosition(start)
        return `${line + 1}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`
      }
    )
  })
}
