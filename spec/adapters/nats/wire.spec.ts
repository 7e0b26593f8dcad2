// Properties of the parsers of the messages between two ends, and of the subjects.
import fc from 'fast-check'
import t from 'tap'
import {
  formatCredit,
  formatDial,
  formatHello,
  HEADER_BYTES,
  type Hello,
  MAX_WINDOW_BYTES,
  MIN_WINDOW_BYTES,
  parseCredit,
  parseDial,
  parseHello
} from '../../../lib/adapters/nats/sessions/wire.js'
import { checkInboxPrefix, createId, createToken, processOf } from '../../../lib/adapters/nats/subjects.js'

const windows = fc.integer({ min: MIN_WINDOW_BYTES, max: MAX_WINDOW_BYTES })
const subjects = fc
  .constantFrom('_INBOX', '_INBOX.client', 'a-b.c_d', '~{}"!')
  .map(prefix => `${prefix}.netref.${createId()}.${createToken()}`)
const hellos: fc.Arbitrary<Hello> = fc.record({
  to: subjects,
  windowBytes: windows,
  id: fc.stringMatching(/^[\w-]{1,64}$/),
  version: fc.constantFrom('0.0.0', '1.2.3-rc.1+build'),
  metadata: fc.dictionary(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }), {
    noNullPrototype: true
  })
})
/** JSON that resembles a message, and bytes that do not. */
const hostile = fc.oneof(
  fc.uint8Array().map(bytes => Buffer.from(bytes)),
  fc.json().map(text => Buffer.from(text)),
  fc
    .record(
      {
        to: fc.oneof(subjects, fc.string(), fc.jsonValue()),
        window: fc.oneof(windows, fc.jsonValue()),
        id: fc.oneof(fc.constant('x'), fc.jsonValue()),
        version: fc.oneof(fc.constant('1.0.0'), fc.jsonValue()),
        metadata: fc.oneof(fc.constant({}), fc.jsonValue())
      },
      { requiredKeys: [] }
    )
    .map(value => Buffer.from(JSON.stringify(value)))
)

t.test('what is formatted is parsed', async t => {
  fc.assert(
    fc.property(hellos, hello => {
      t.same(parseHello(formatHello(hello).subarray(HEADER_BYTES)), hello)
    }),
    { numRuns: 200 }
  )
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 0xffffffff }), windows, (readBytes, windowBytes) => {
      t.same(parseCredit(formatCredit(0, readBytes, windowBytes).subarray(HEADER_BYTES)), {
        readBytes,
        windowBytes
      })
      t.equal(parseDial(Buffer.from(formatDial(windowBytes))), windowBytes)
    }),
    { numRuns: 200 }
  )
})

t.test('anything else is refused, or is a message with valid members', async t => {
  const isWindow = (bytes: number) => bytes >= MIN_WINDOW_BYTES && bytes <= MAX_WINDOW_BYTES
  fc.assert(
    fc.property(hostile, body => {
      const [hello, credit, dial] = [parseHello(body), parseCredit(body), parseDial(body)]
      if (hello && !(isWindow(hello.windowBytes) && processOf(hello.to))) return false
      if (hello && Object.values(hello.metadata).some(value => typeof value !== 'string')) return false
      return !(credit && !isWindow(credit.windowBytes)) && !(dial !== undefined && !isWindow(dial))
    }),
    { numRuns: 5000 }
  )
  t.pass('for 5000 bodies')
})

t.test('a subject is that of a transport, or has no process', async t => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.string({ unit: fc.constantFrom('.', '$', '*', 'netref', 'a', '_INBOX', ' ') })
      ),
      prefix => {
        const subject = `${prefix}.netref.${createId()}.${createToken()}`
        let isPrefix = true
        try {
          checkInboxPrefix(prefix)
        } catch {
          isPrefix = false
        }
        return (processOf(subject) !== undefined) === isPrefix
      }
    ),
    { numRuns: 5000 }
  )
  const long = `${'a.'.repeat(100_000)}netref.${createId()}.${createToken()}`
  t.equal(processOf(long), undefined)
})
