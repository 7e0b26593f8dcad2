// Triple, the protocol of Dubbo 3: a unary call with Protocol Buffers, as its Java client sends it, is one of gRPC.
import { once } from 'node:events'
import { connect } from 'node:http2'
import t from 'tap'
import { overGrpc } from '../../support/grpc.js'

t.test('a call of Triple', t =>
  overGrpc(
    t,
    async (_, server) => {
      const session = connect(`http://127.0.0.1:${server.port}`)
      const stream = session.request({
        ':method': 'POST',
        ':path': '/netref.spec.Library/who',
        'content-type': 'application/grpc+proto',
        te: 'trailers',
        'user-agent': 'grpc-java-netty/1.50.2',
        'grpc-accept-encoding': 'gzip',
        'grpc-timeout': '3000m',
        'tri-service-version': '1.0.0',
        'tri-service-group': 'dev',
        'tri-consumer-appname': 'consumer',
        'tri-unit-info': '',
        'tri-protocol-version': '1.0.0'
      })
      const trailers = once(stream, 'trailers')
      const response = once(stream, 'response')
      // A message without fields.
      stream.end(Buffer.alloc(5))
      const chunks: Buffer[] = []
      for await (const chunk of stream) chunks.push(chunk)
      t.match((await response)[0], { ':status': 200, 'content-type': 'application/grpc+proto' })
      t.match((await trailers)[0], { 'grpc-status': '0' })
      const message = Buffer.concat(chunks)
      const text = 'grpc {"version":"1.0.0","app":"consumer"}'
      t.same(
        message,
        Buffer.concat([Buffer.from([0, 0, 0, 0, text.length + 2, 10, text.length]), Buffer.from(text)])
      )
      session.close()
    },
    {
      authenticate: ({ headers }) => ({
        version: headers['tri-service-version'],
        app: headers['tri-consumer-appname']
      })
    }
  )
)
