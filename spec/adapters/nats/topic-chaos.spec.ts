// Tests that each value of a topic is read once or counted as missed, while NATS is killed amid publishing.
import t from 'tap'
import { openBus, read, reconnected } from '../../support/nats-bus.js'
import { skipWithoutNats, startNatsServer } from '../../support/nats-server.js'

const KILLS = Number(process.env.NETREF_CHAOS_KILLS ?? 3)

for (const keep of [false, true]) {
  t.test(
    `${keep ? 'kept' : 'other'} values are read once, in order, or counted as missed`,
    { skip: skipWithoutNats },
    async t => {
      const server = await startNatsServer(t)
      const { bus } = openBus(t, server.url)
      const { bus: publishing } = openBus(t, server.url)
      const topic = publishing.topic<number>('x', { keep })
      const values = await bus.topic<number>('x', { keep }).subscribe()
      let published = 0
      let confirmed = 0
      let isOver = false
      const publish = () =>
        topic.publish(++published).then(
          () => confirmed++,
          () => undefined
        )
      await publish()
      const [first] = (await read(values, 1)) as [number]
      const publishAll = (async () => {
        while (!isOver) {
          await Promise.all(Array.from({ length: 5 }, publish))
          await new Promise(resolve => setTimeout(resolve, 1))
        }
      })()
      const confirmedMore = async () => {
        for (const before = confirmed; confirmed < before + 100; )
          await new Promise(resolve => setTimeout(resolve, 1))
      }
      const seen = [first]
      let isRead = false
      const readAll = (async () => {
        for await (const value of values) {
          seen.push(value)
          if (isOver && value === published) break
        }
        isRead = true
      })()
      for (let kill = 0; kill < KILLS; kill++) {
        await confirmedMore()
        const back = [reconnected(bus), reconnected(publishing)]
        await server.restart()
        await Promise.all(back)
      }
      await confirmedMore()
      isOver = true
      await publishAll
      // What is missing is known when a later value has arrived.
      while (!isRead) await publish()
      await readAll
      t.same(
        seen,
        [...new Set(seen)].sort((a, b) => a - b),
        'each once, in order'
      )
      t.equal(seen.length + values.missed, seen.at(-1), 'the others are counted')
      t.ok(seen.length > 100 * KILLS, 'and not all are missed')
      t.comment(`${published} published, ${seen.length} read, ${values.missed} missed`)
    }
  )
}
