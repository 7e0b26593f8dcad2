// The entry `netref/pyro`: lets the clients of Pyro call a service.

export { pyro } from './pyro/gateway.js'
