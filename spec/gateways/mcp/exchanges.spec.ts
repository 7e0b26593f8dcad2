// Specs of what cancels the HTTP requests of clients.
import t from 'tap'
import { Exchanges } from '../../../lib/gateways/mcp/exchanges.js'

t.test('requests are cancelled by the name of their client and their id, while they are served', async t => {
  const exchanges = new Exchanges()
  const call = (id: unknown, client: string, abort = new AbortController()) => {
    t.equal(exchanges.begin({ method: 'tools/call', id }, client, abort), undefined)
    return abort
  }
  const cancel = (requestId: unknown, client: string) =>
    exchanges.begin(
      { method: 'notifications/cancelled', params: { requestId } },
      client,
      new AbortController()
    )
  const [one, other] = [call(1, 'a'), call(1, 'b')]
  cancel(1, 'a')
  t.same([one.signal.aborted, other.signal.aborted], [true, false])
  const [first, second] = [call(2, 'a'), call(2, 'a')]
  first.abort()
  cancel(2, 'a')
  t.ok(second.signal.aborted, 'the end of an earlier request with that id does not hide a later one')
  const gone = new AbortController()
  gone.abort()
  call(3, 'a', gone)
  const again = call(3, 'b')
  cancel(3, 'a')
  t.notOk(again.signal.aborted)
})

t.test('a client that initializes gets a name; nothing else does', async t => {
  const exchanges = new Exchanges()
  const begin = (message: unknown, client?: string) => exchanges.begin(message, client, new AbortController())
  t.match(begin({ method: 'initialize' }), /^[\da-f-]{36}$/)
  t.not(begin({ method: 'initialize' }), begin({ method: 'initialize' }))
  for (const message of [
    null,
    7,
    [],
    {},
    { method: 'tools/call', id: 1 },
    { method: 'notifications/cancelled' }
  ]) {
    t.equal(begin(message), undefined)
    t.equal(begin(message, 'a'), undefined)
  }
})
