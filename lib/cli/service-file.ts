// Loads a service from a file.
import { access } from 'node:fs/promises'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Service, type ServiceSource } from '../index.js'
import { UsageError } from './command.js'

/** How a file that Node does not load is served, for the help of commands. */
export const loaderHelp = (command: string): readonly string[] => [
  'Node loads the module. For TypeScript that Node does not support, use a loader:',
  `  NODE_OPTIONS="--import tsx" netref ${command} calculator.ts`
]

/**
 * Loads the default export of a file, else its only service, else its only export that can be served.
 *
 * @param command that serves it, for error texts
 * @throws UsageError if there is no such file, or no such export
 */
export async function loadService(file: string, command: string): Promise<ServiceSource> {
  return serviceOf(await loadModule(file, command), file)
}

async function loadModule(file: string, command: string): Promise<Record<string, unknown>> {
  const path = resolve(file)
  await access(path).catch(() => {
    throw new UsageError(`there is no file ${file}`)
  })
  try {
    return await import(pathToFileURL(path).href)
  } catch (error) {
    if (!/\.[cm]?tsx?$/.test(path)) throw error
    const message = (error as Error).message
    const suggestion = `NODE_OPTIONS="--import tsx" netref ${command} ${file}`
    throw new Error(
      `${file} cannot be loaded: ${message}\nIf Node does not support its syntax, use a loader: ${suggestion}`
    )
  }
}

/** Whether an export is a class that extends Service. */
export const isService = (value: unknown) => typeof value === 'function' && value.prototype instanceof Service
const isServiceSource = (value: unknown) =>
  typeof value === 'function' || (typeof value === 'object' && value !== null)

function serviceOf(module: Record<string, unknown>, file: string): ServiceSource {
  if (isServiceSource(module.default)) return module.default as ServiceSource
  for (const predicate of [isService, isServiceSource]) {
    const found = Object.keys(module).filter(name => predicate(module[name]))
    if (found.length === 1) return module[found[0]!] as ServiceSource
    if (found.length > 1)
      throw new UsageError(`${file} exports ${found.join(', ')}: make one its default export`)
  }
  throw new UsageError(`${file} exports no service: a class that extends Service, an object or a function`)
}
