// The shared suite of transports, over NATS.
import { connect as connectToNats } from '@nats-io/transport-node'
import t from 'tap'
import { nats } from '../../../lib/adapters/nats.js'
import { connect, serve } from '../../../lib/index.js'
import { skipWithoutNats, startNatsServer } from '../../support/nats-server.js'
import { Echo, joined, type OpenSession, transportSuite } from '../../support/transport-suite.js'

if (skipWithoutNats) t.pass('', { skip: skipWithoutNats })
else {
  const { url } = await startNatsServer(t, { jetstream: false })

  const open: OpenSession = async (t, { client = {}, server: serving = {} } = {}) => {
    const connection = await connectToNats({ servers: url })
    const [serverBus, clientBus] = [nats(connection), nats(url)]
    const endpoint = serverBus.service('Echo')
    const server = await serve(Echo, { ...serving, endpoint, resumeWindow: 0 })
    const conn = connect<Echo>(clientBus.service('Echo'), client)
    t.teardown(async () => {
      await Promise.all([serverBus.close(), clientBus.close()])
      await connection.close()
    })
    return joined(conn, server, () => void connection.close())
  }
  transportSuite(t, { NATS: open })
}
