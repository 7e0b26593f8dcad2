// The netref server of the gateways' benchmarks. It prints its port.

import { goRpc } from '../../../lib/gateways/go-rpc.js'
import { jsonRpc } from '../../../lib/gateways/json-rpc.js'
import { rpyc } from '../../../lib/gateways/rpyc.js'
import { xmlRpc } from '../../../lib/gateways/xml-rpc.js'
import { Service, serve } from '../../../lib/index.js'

class Bench extends Service {
  exposed_Arith = {
    Add: ({ X, Y }: { X: number; Y: number }) => X + Y,
    Echo: (value: unknown) => value
  }
  exposed_noop() {}
  exposed_add(a: number, b: number) {
    return a + b
  }
  exposed_echo(value: unknown) {
    return value
  }
  async exposed_each(count: number, callback: (n: number) => unknown) {
    for (let n = 0; n < count; n++) await callback(n)
  }
}

const { url } = await serve(Bench, { port: 0, gateways: [rpyc(), jsonRpc(), xmlRpc(), goRpc()] })
console.log(new URL(url).port)
