// `npm run demo:login`: a login is a call that returns a richer object, and costs no extra round trip.
import { setImmediate as turn } from 'node:timers/promises'
import { connect, Netref, serve } from 'netref'
import { bold, failure, logFailedCall, main, show } from '../terminal.js'
import { Door, type Mailbox } from './login.js'

await main(async () => {
  const ada = { name: 'ada', password: 'lovelace' }
  await Door.register(ada.name, ada.password)
  await using server = await serve(Door, { port: 0, onCallError: logFailedCall })
  await using conn = connect<Door>(server.url)
  const { root } = conn
  await conn.ping()

  console.log(`\n${bold('Before the login, only `login` is exposed')}`)
  await show('await Netref.keys(root)', Netref.keys(root))
  await show(
    "await root.login({ name: 'ada', password: 'babbage' })",
    failure(root.login({ name: 'ada', password: 'babbage' }))
  )

  console.log(`\n${bold('The login, and the first call on its result, are sent together')}`)
  const before = conn.stats
  const inbox = root.login(ada).inbox()
  await show('inbox = root.login(ada).inbox()')
  await turn()
  const { framesOut, framesIn } = conn.stats
  await show('conn.stats.framesOut', `${framesOut - before.framesOut} frames sent, before`)
  await show('conn.stats.framesIn', `${framesIn - before.framesIn} frames arrived`)
  await show('await inbox', inbox)

  console.log(
    `\n${bold('The returned object is the right to use the mailbox: keep it, pass it on, release it')}`
  )
  const mailbox: Netref<Mailbox> = await root.login(ada)
  await show('mailbox = await root.login(ada)')
  await show("await mailbox.write('Noted.')", mailbox.write('Noted.'))
  Netref.release(mailbox)
  await show('Netref.release(mailbox)')
  await show('await mailbox.inbox()', failure(mailbox.inbox()))
  console.log()
})
