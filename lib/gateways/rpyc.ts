export { type RpycOptions, rpyc } from './rpyc/gateway.js'
