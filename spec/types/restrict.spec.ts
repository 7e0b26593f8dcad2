// Claims about the types of `restrict()`, which `tsc --noEmit` checks. None of the code runs.
import t from 'tap'
import { connect, Netref, type Pending, restrict, Service, unrestricted } from '../../lib/index.js'

class Doc {
  title = ''
  text = ''
  save() {
    return true
  }
}
class Account {
  exposed_balance() {
    return 42
  }
  exposed_close() {}
}

class Desk extends Service {
  exposed_reader() {
    return restrict(new Doc(), { read: ['title', 'save'] })
  }
  exposed_any() {
    return restrict(new Doc(), { write: ['text'] })
  }
  exposed_account() {
    return restrict(new Account(), { read: ['balance'] })
  }
  exposed_declared(): Doc {
    return restrict(new Doc(), { read: ['title'] })
  }
}

const compiles = async () => {
  const { root } = connect<Desk>('ws://localhost')
  const reader = await root.reader()
  const saved: Pending<boolean> = reader.save()
  const title: string = await reader.title
  // @ts-expect-error: the list does not name it
  reader.text
  await Netref.set(await root.any(), 'text', 'new')
  const balance: number = await root.account().balance()
  // @ts-expect-error: the list does not name it
  await root.account().close()
  const text: string = await (await root.declared()).text

  // @ts-expect-error: it has no such member
  restrict(new Doc(), { read: ['titel'] })
  // @ts-expect-error: peers use the name without the prefix
  restrict(new Account(), { read: ['exposed_balance'] })
  // @ts-expect-error: a function is not restricted
  restrict(5, { read: [] })

  const local = restrict(new Doc(), { read: ['title'] })
  const original: Doc = unrestricted(local)
  return [saved, title, balance, text, local.text, original]
}

t.test('tsc has checked them', async t => t.type(compiles, 'function'))
