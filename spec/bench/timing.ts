// Whether time tells what is there and not exposed from what is missing. A peer asks for names of members, the same
// name many times in a frame so that little adds up; names that are there and missing ones of the same length take
// turns in random order. `npm run timing` prints the median of each, in ns for a message, and how far that of the
// member is from that of a missing one, against the noise: how far quartiles of the missing ones are apart. It ends
// with code 1 where a member stands out of the noise.
import { setImmediate as turn } from 'node:timers/promises'
import { expose, Service } from 'netref'
import { parseFrame } from '../../lib/protocol/frame.js'
import { DEFAULT_LIMITS } from '../../lib/protocol/limits.js'
import { Op } from '../../lib/protocol/messages.js'
import { settingsOf } from '../../lib/session/options.js'
import { SessionImpl } from '../../lib/session/session.js'
import { MemoryTransport } from '../../lib/transport/memory.js'

/** Frames for each name, and how often one asks for it. */
const ROUNDS = 300
const ASKED = 100

class Thing {
  own = 1
  method() {}
  get getter() {
    return 1
  }
  _private() {}
  toString() {
    return 'a thing'
  }
  exposed_there() {}
}
class Special extends Thing {
  nearer() {}
}
class Base extends Service {
  inherited() {}
}
/** What is exposed are the things to be looked into. */
class Home extends Base {
  own = 1
  method() {}
  get getter() {
    return 1
  }
  exposed_instance = new Special()
  exposed_picky = expose(new Special(), { read: ['nearer'] })
  exposed_fn = Object.assign(() => {}, { secret: 1 })
  exposed_class = class extends Thing {
    static secret() {}
  }
}
class Hooked extends Home {
  override onConnect() {}
  override onDisconnect() {}
}
const record = {
  own: 1,
  get getter() {
    return 1
  },
  thing: new Special(),
  fn() {}
}

/** One end of a session, of which `names` are asked: of its root, or of what that has under the name `of`. */
class Peer {
  readonly #ours: MemoryTransport
  readonly #target: number
  #received = 0
  #last = 0

  constructor(root: object, of?: string) {
    const [ours, its] = MemoryTransport.pair()
    this.#ours = ours
    ours.start({
      onOpen() {},
      onFrame: frame => {
        if (!parseFrame(frame, DEFAULT_LIMITS).isAckOnly) this.#received++
      },
      onClose: ({ message }) => {
        throw new Error(`a session that was asked has ended: ${message}`)
      }
    })
    new SessionImpl(its, {
      ...settingsOf({ onError() {} }, 'serve'),
      isInitiator: false,
      createRoot: () => root
    }).start()
    ours.send('[0,[[0,1,{"jsonBytes":4194304,"frameBytes":4194304,"depth":200,"values":10000}]]]')
    if (of) ours.send(`[0,[[${Op.get},${++this.#last},0,"${of}"]]]`)
    this.#target = of ? 1 : 0
  }

  /** How long its other end is busy with a frame that asks for a name, in ns each time. */
  async ask(op: number, name: string): Promise<number> {
    const operands = op === Op.call ? ',[]' : ''
    const message = () => `[${op},${++this.#last},${this.#target},"${name}"${operands}]`
    this.#ours.hold()
    this.#ours.send(`[${this.#received},[${Array.from({ length: ASKED }, message)}]]`)
    const began = performance.now()
    this.#ours.letGo(1)
    const took = performance.now() - began
    this.#ours.letGo()
    await turn()
    return (took / ASKED) * 1e6
  }
}

/** A name of the same length that nothing has. */
const missing = (name: string, letter: string) => `${name.slice(0, 1)}${letter.repeat(name.length - 1)}`

type Subject = () => Promise<number>
interface Comparison {
  readonly what: string
  readonly there: Subject
  readonly missing: readonly [Subject, Subject]
}

/** Members of one object, each against two names that are missing from it. */
function members(what: string, root: object, of: string | undefined, ...names: string[]): Comparison[] {
  const peer = new Peer(root, of)
  const operations = Object.entries({ get: Op.get, call: Op.call, has: Op.has })
  return names.flatMap(name =>
    operations.map(([verb, op]) => ({
      what: `${verb} ${name} of ${what}`,
      there: () => peer.ask(op, name),
      missing: [() => peer.ask(op, missing(name, 'q')), () => peer.ask(op, missing(name, 'j'))]
    }))
  )
}

/** Hooks, against those of a service that has none. */
function hooks(...names: string[]): Comparison[] {
  const [hooked, plain, other] = [new Peer(new Hooked()), new Peer(new Home()), new Peer(new Home())]
  return names.map(name => ({
    what: `get ${name} of a service`,
    there: () => hooked.ask(Op.get, name),
    missing: [() => plain.ask(Op.get, name), () => other.ask(Op.get, name)]
  }))
}

const comparisons = [
  ...members(
    'the root',
    new Home(),
    undefined,
    'own',
    'method',
    'getter',
    'inherited',
    'exposed_fn',
    'toString'
  ),
  ...members(
    'an instance',
    new Home(),
    'instance',
    'own',
    'method',
    'getter',
    'nearer',
    '_private',
    'toString'
  ),
  ...members('what is exposed in part', new Home(), 'picky', 'own', 'method', 'getter', 'toString'),
  ...members('a function', new Home(), 'fn', 'secret', 'name', 'bind'),
  ...members('a class', new Home(), 'class', 'secret', 'name', 'assign'),
  ...members('a plain root', record, undefined, 'own', 'getter', 'thing', 'toString'),
  ...hooks('onConnect', 'onDisconnect')
]

const quantile = (part: number, figures: readonly number[]) =>
  [...figures].sort((a, b) => a - b)[Math.floor(part * figures.length)]!
const median = (figures: readonly number[]) => quantile(0.5, figures)

/** What each subject took, in rounds in which they take turns. */
async function measure(subjects: readonly Subject[]): Promise<number[][]> {
  const took = subjects.map((): number[] => [])
  for (let round = 0; round < ROUNDS; round++) {
    const first = Math.floor(Math.random() * subjects.length)
    for (let i = 0; i < subjects.length; i++) {
      const which = (first + i) % subjects.length
      took[which]!.push(await subjects[which]!())
    }
  }
  return took
}

await turn()
let fine = true
console.log(`${'median of a message, in ns'.padEnd(44)} there  missing  differ  noise`)
// Once before it counts, until all is compiled.
await measure(comparisons.flatMap(({ there, missing }) => [there, ...missing]))
for (const { what, there, missing } of comparisons) {
  const [its = [], ...others] = await measure([there, ...missing])
  const all = others.flat()
  const [here, gone] = [median(its), median(all)]
  const noise = quantile(0.75, all) - quantile(0.25, all)
  const differs = Math.abs(here - gone) > noise
  fine &&= !differs
  const figures = [here, gone, here - gone, noise].map(ns => ns.toFixed().padStart(8))
  console.log(`${what.padEnd(42)}${figures.join('')}${differs ? '  DIFFERS' : ''}`)
}
console.log(fine ? 'nothing stands out' : 'time tells')
if (!fine) process.exitCode = 1
