// The entry `netref/rpyc`: the gateway for clients of RPyC, and connections to its servers.

export type { RpycVersion } from './rpyc/channel.js'
export { type Classic, classic } from './rpyc/classic.js'
export { connectRpyc, type RpycConnectOptions } from './rpyc/connect.js'
export { type RpycOptions, rpyc } from './rpyc/gateway.js'
export { withKeywords } from './rpyc/keywords.js'
export type { PythonError } from './rpyc/python-error.js'
export {
  type FindOptions,
  findRpyc,
  type RegistryAddress,
  type RegistryOptions,
  type RpycAddress
} from './rpyc/registry.js'
