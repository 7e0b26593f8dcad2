// The entry `netref/rpyc`: the gateway for clients of RPyC.

export { type RpycOptions, rpyc } from './rpyc/gateway.js'
