// `npm run demo:tour`: a server and a client over a real socket, with the examples of RPC tutorials.
import { connect, expose, Netref, serve } from 'netref'
import { bold, failure, logFailedCall, main, show } from '../terminal.js'
import { Tour } from './tour.js'

await main(async () => {
  await using server = await serve(Tour, { port: 0, onCallError: logFailedCall })
  await using conn = connect<Tour>(server.url)
  const { root } = conn

  title(`Calls, over ${server.url}`)
  await show('await root.sum(1, 2)', root.sum(1, 2))
  await show('await root.sum(1.1, 2.2)', root.sum(1.1, 2.2))
  await show('await root.get_time()', root.get_time())
  await show("await root.addtogether('x', 'y', 'z')", root.addtogether('x', 'y', 'z'))
  await show("await root.connect_server({ message: 'hi' })", root.connect_server({ message: 'hi' }))

  title('An error reaches the caller, with its class')
  await show('await root.quadratic(2, -4, 0)', root.quadratic(2, -4, 0))
  await show('await root.quadratic(1, 0, 1)', failure(root.quadratic(1, 0, 1)))

  title('Plain data is passed by value')
  const arthur = { name: 'Arthur', data: { age: 42, sex: 'M' } }
  await show("arthur = { name: 'Arthur', data: { age: 42, sex: 'M' } }")
  await show('await root.remote_repr(arthur)', root.remote_repr(arthur))
  const lengths = root.lengths('hi', 27, [1, 2, 3], { Rigel: 0.12 })
  await show("await root.lengths('hi', 27, [1, 2, 3], { Rigel: 0.12 })", lengths)

  title('A call can be awaited at once, or later')
  await show('await root.ServiceA.Add({ X: 10, Y: 20 })', root.ServiceA.Add({ X: 10, Y: 20 }))
  const later = root.ServiceA.Add({ X: 10, Y: 20 })
  await show('later = root.ServiceA.Add({ X: 10, Y: 20 })')
  await show('await later', later)

  title('Date, Set, bytes and undefined arrive as themselves')
  await show('await root.getObj()', root.getObj())
  const began = performance.now()
  let same = 0
  for (let i = 0; i < 500; i++) if (await root.sendObj(await root.getObj())) same++
  const ms = Math.round(performance.now() - began)
  await show('500 times: await root.sendObj(await root.getObj())', `${same} times the same, in ${ms} ms`)

  title('Calls of one tick are sent together')
  const before = conn.stats
  await Promise.all(Array.from({ length: 100 }, (_, i) => root.sum(i, i)))
  const { framesOut, framesIn } = conn.stats
  await show('100 times root.sum(i, i), then await Promise.all', '100 calls')
  await show('conn.stats.framesOut', `${framesOut - before.framesOut} frames more`)
  await show('conn.stats.framesIn', `${framesIn - before.framesIn} frames more`)

  title('The server keeps a function of a client until it is released or the client disconnects')
  const reader = connect<Tour>(server.url)
  const heard: string[] = []
  const hear = (news: string) => heard.push(news)
  const dropped = new Promise<string>(resolve => {
    expose(hear, { released: () => resolve('the server released `hear`') })
  })
  const subscription = await reader.root.subscribe(hear)
  await show('subscription = await reader.root.subscribe(hear)')
  await show("await root.publish('tea at four')", root.publish('tea at four'))
  await show("await root.publish('with scones')", root.publish('with scones'))
  await show('heard', heard)
  Netref.release(subscription)
  await show('Netref.release(subscription)', dropped)
  await show("await root.publish('no scones')", root.publish('no scones'))

  using _held = await reader.root.subscribe(hear) // a netref that nothing holds may be collected, and then it is released
  await show('using held = await reader.root.subscribe(hear)')
  await show("await root.publish('tea at five')", root.publish('tea at five'))
  const [, served] = server.sessions
  await reader.close()
  await show(
    'await reader.close()',
    served!.closed.then(({ code }) => `the server noticed: ${code}`)
  )
  await show("await root.publish('good night')", root.publish('good night'))
  await show('heard', heard)
  console.log()
})

function title(text: string): void {
  console.log(`\n${bold(text)}`)
}
