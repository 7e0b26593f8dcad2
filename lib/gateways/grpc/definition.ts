// Reads the services of a .proto file.

import { accessSync, constants } from 'node:fs'
import { isAbsolute, join } from 'node:path'
import type { Method, NamespaceBase, Root, Service, Type } from 'protobufjs'
import { describeValue, quote } from '../../util/describe.js'
import { didYouMean } from '../../util/nearest.js'
import { MessageCodec } from './message-codec.js'
import { MessageTypes } from './message-types.js'
import { loadProtobuf, type Protobuf } from './packages.js'

/** Which services of a file. */
export interface ServiceSelection {
  /**
   * The full name of a service, such as `tutorial.Tutorial`: its methods are those of the root. With a list of names, the
   * root has a member for each service, by the last part of its name: `root.Tutorial.sum`.
   */
  readonly service: string | readonly string[]
  /** Directories that have the files that the file imports. @default the directory of the file */
  readonly includeDirs?: readonly string[] | undefined
}

/** A method of a service. */
export interface Rpc {
  /** The names of the members that lead from the root to it. */
  readonly names: readonly string[]
  /** The path of its HTTP requests: `/tutorial.Tutorial/sum`. */
  readonly path: string
  readonly request: MessageCodec
  readonly reply: MessageCodec
  /** Whether the client sends a stream. */
  readonly requestStream: boolean
  /** Whether the server sends a stream. */
  readonly responseStream: boolean
  /** The comment of the method in the file. */
  readonly help: string | undefined
}

/**
 * Reads the methods of services of a .proto file.
 *
 * @param call the function that takes the options, for error texts
 * @throws TypeError for a service that is not there, Error for a file that cannot be read or parsed
 */
export function readRpcs(file: string, { service, includeDirs }: ServiceSelection, call: string): Rpc[] {
  if (typeof file !== 'string' || /^file:/i.test(file))
    throw new TypeError(
      `${call}: the first argument is the path of a .proto file, not ${describeValue(file)}; of a file: URL, fileURLToPath(url)`
    )
  if (includeDirs !== undefined && !Array.isArray(includeDirs))
    throw new TypeError(`${call}: \`includeDirs\` takes a list, not ${describeValue(includeDirs)}`)
  const isList = Array.isArray(service)
  const names: readonly unknown[] = isList ? service : [service]
  const protobuf = loadProtobuf(call)
  const root = readFile(protobuf, file, includeDirs, call)
  const services = servicesIn(root, protobuf)
  const types = new MessageTypes(protobuf)
  return names.flatMap(name => {
    const found = services.find(({ fullName }) => fullName === `.${name}`)
    if (!found) throw noSuchService(file, name, services, call)
    return found.methodsArray.map(method => rpcOf(method, found, isList ? [found.name] : [], types))
  })
}

/** @throws TypeError if there are no options at all: a file has services, and one must be named */
export function checkSelection(call: string, options: unknown): void {
  if (options === undefined)
    throw new TypeError(`${call}: name the service of the file: { service: 'package.Service' }`)
}

/** Longest path in error texts. */
const MAX_FILE_CHARACTERS = 200

function readFile(
  protobuf: Protobuf,
  file: string,
  includeDirs: readonly string[] | undefined,
  call: string
): Root {
  const root = new protobuf.Root()
  const resolvePath = root.resolvePath.bind(root)
  let isImport = false
  root.resolvePath = (origin, target) => {
    isImport = origin !== ''
    return findFile(target, includeDirs) ?? resolvePath(origin, target)
  }
  try {
    return root.loadSync(file, { keepCase: true, alternateCommentMode: true }).resolveAll() as Root
  } catch (cause) {
    const { message, code } = cause as NodeJS.ErrnoException
    const hint =
      isImport && code === 'ENOENT'
        ? '; `includeDirs` takes the directories of the files that it imports'
        : ''
    throw new Error(`${call}: cannot read ${quote(file, MAX_FILE_CHARACTERS)}: ${message}${hint}`, { cause })
  }
}

/** Finds a file in directories. */
function findFile(file: string, directories: readonly string[] = []): string | undefined {
  if (isAbsolute(file)) return file
  return directories.map(directory => join(directory, file)).find(isReadable)
}

function isReadable(file: string): boolean {
  try {
    accessSync(file, constants.R_OK)
    return true
  } catch {
    return false
  }
}

/** All services of a file and of the files that it imports. */
function servicesIn(namespace: NamespaceBase, protobuf: Protobuf): Service[] {
  return namespace.nestedArray.flatMap(object => {
    if (object instanceof protobuf.Service) return [object]
    return 'nestedArray' in object ? servicesIn(object as NamespaceBase, protobuf) : []
  })
}

function noSuchService(file: string, name: unknown, services: readonly Service[], call: string): TypeError {
  const names = services.map(({ fullName }) => fullName.slice(1))
  const known = names.length > 0 ? `; it has ${names.map(name => quote(name)).join(', ')}` : ''
  const hint = didYouMean(String(name), names, '"') || known
  return new TypeError(
    `${call}: ${quote(file, MAX_FILE_CHARACTERS)} has no service ${describeValue(name)}${hint}`
  )
}

function rpcOf(method: Method, service: Service, prefix: readonly string[], types: MessageTypes): Rpc {
  const codecOf = (type: Type | null) => new MessageCodec(types.typeOf(type!))
  return {
    names: [...prefix, method.name],
    path: `/${service.fullName.slice(1)}/${method.name}`,
    request: codecOf(method.resolvedRequestType),
    reply: codecOf(method.resolvedResponseType),
    requestStream: method.requestStream ?? false,
    responseStream: method.responseStream ?? false,
    help: method.comment ?? undefined
  }
}
