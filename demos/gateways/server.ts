// `npm run demo:gateways`: one service, the clients of several systems. It prints the command of each client.
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { serve } from 'netref'
import { goRpc } from 'netref/go-rpc'
import { grpc } from 'netref/grpc'
import { jsonRpc } from 'netref/json-rpc'
import { mcp } from 'netref/mcp'
import { pyro } from 'netref/pyro'
import { rpyc } from 'netref/rpyc'
import { xmlRpc } from 'netref/xml-rpc'
import { zeroRpc } from 'netref/zerorpc'
import protobuf from 'protobufjs'
import { bold, dim, logFailedCall, main } from '../terminal.js'
import { protobufChannel } from './protobuf-channel.js'
import { stub } from './stub.js'
import { Tutorial } from './tutorial.js'

await main(async () => {
  const { values } = parseArgs({
    options: {
      port: { type: 'string', default: '18861' },
      'protobuf-port': { type: 'string', default: '18862' }
    }
  })
  const proto = fileURLToPath(new URL('tutorial.proto', import.meta.url))
  const channel = protobufChannel((await protobuf.load(proto)).lookupService('tutorial.Tutorial'), {
    port: Number(values['protobuf-port'])
  })
  const server = await serve(Tutorial, {
    port: Number(values.port),
    gateways: [
      rpyc(),
      jsonRpc(),
      xmlRpc(),
      goRpc(),
      zeroRpc(),
      pyro(),
      grpc(proto, { service: 'tutorial.Tutorial' }),
      mcp({ tools: ['sum', 'divide'] }),
      stub(),
      channel
    ],
    onCallError: logFailedCall
  })

  const { hostname: host, port } = new URL(server.url)
  const python = 'python3 demos/gateways/clients'
  const clients = {
    'netref, from a terminal': `npx tsx lib/cli/main.ts call ${server.url} sum 1 2`,
    'RPyC, from Python (Debian: python3-rpyc; or pip install rpyc)': `${python}/rpyc_client.py ${host} ${port} demos/line-counter/testfile.txt`,
    'XML-RPC, from Python': `${python}/xmlrpc_client.py http://${host}:${port}`,
    'JSON-RPC, from curl': `curl -s -H 'content-type: application/json' -d '{"jsonrpc": "2.0", "method": "sum", "params": {"x": 1, "y": 2}, "id": 1}' http://${host}:${port}`,
    'JSON-RPC, from Python (python3-jsonrpclib-pelix; or pip install jsonrpclib-pelix)': `${python}/jsonrpc_client.py http://${host}:${port}`,
    'JSON-RPC, from Go': `go run demos/gateways/clients/jsonrpc_client.go ${host}:${port}`,
    "Go's net/rpc": `go run demos/gateways/clients/gorpc_client.go ${host}:${port}`,
    'Pyro, from Python (Debian: python3-pyro4; or pip install Pyro5)': `${python}/pyro_client.py ${host} ${port}`,
    'ZeroRPC, from Python (pip install zerorpc)': `${python}/zerorpc_client.py tcp://${host}:${port}`,
    'gRPC, from Python (Debian: python3-grpcio, protobuf-compiler-grpc; or pip install grpcio-tools)': `${python}/grpc_client.py ${host}:${port}`,
    'MCP, from Node: a host of a language model': `npx tsx demos/gateways/clients/mcp_client.ts ${server.url.replace('ws:', 'http:')}/mcp`,
    'A text protocol, from Python': `${python}/stub_client.py ${host} ${port}`,
    "Protobuf's stubs, from Python (Debian: python3-protobuf, protobuf-compiler; newer ones of pip have no services)": `${python}/protobuf_client.py ${host} ${server.gatewayPorts[channel.name]}`
  }
  console.log(
    `One service at ${server.url}. Start its clients in another terminal, in the folder of netref:\n`
  )
  for (const [system, command] of Object.entries(clients)) console.log(`${dim(system)}\n  ${bold(command)}\n`)
  console.log(dim('Ctrl-C ends it.'))

  for (const end of ['SIGINT', 'SIGTERM', 'disconnect']) {
    process.once(end, async () => {
      await server.close({ drain: 5000 })
      process.exit()
    })
  }
})
