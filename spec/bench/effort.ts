// How long a frame may keep a process busy that was made to: the worst ones that fit into `limits`, as a peer who means
// harm would write them. `npm run effort` prints for each what `JSON.parse` alone takes, the longest that nothing else in
// the process had its turn while the session acted on the frame, replies and all, and how much that is longer; it ends
// with code 1 where that is above 50 ms. What the session took in all is printed last. `npm run effort -- Map` does
// those alone whose name has `Map` in it. Not judged is what a function of the application returns by the MiB.
import { setImmediate as turn } from 'node:timers/promises'
import { expose, Netref, registerType, Service } from 'netref'
import { settingsOf } from '../../lib/session/options.js'
import { SessionImpl } from '../../lib/session/session.js'
import { MemoryTransport } from '../../lib/transport/memory.js'

declare const gc: () => void

/** Beyond what JSON.parse takes, in ms. */
const MOST = 50
const FRAME = 4 << 20
const DEPTH = 200
const VALUES = 10_000
/** The least of some runs counts, and of more where it seems too long. */
const RUNS = [3, 8] as const
const HELLO = `[0,[[0,1,{"jsonBytes":${FRAME},"frameBytes":${4 * FRAME},"depth":${DEPTH},"values":${VALUES}}]]]`

type Bytes = string | Uint8Array
/** A frame to be measured, or some to be sent before it and then that. */
type Frames = Bytes | [...before: Bytes[], frame: Bytes]

class Point {
  constructor(readonly at: unknown) {}
}
registerType(Point, { name: 'Point', encode: ({ at }) => at, decode: at => new Point(at) })

class Home extends Service {
  exposed_echo(value: unknown) {
    return value
  }
  exposed_drop() {}
  async exposed_walk(items: AsyncIterable<unknown>) {
    for await (const _ of items);
  }
  override onConnect(session: SessionImpl) {
    Promise.resolve(Netref.get(session.root as Netref<{ any: unknown }>, 'any')).catch(() => {})
  }
  exposed_fail() {
    throw new Error('on purpose')
  }
  async exposed_later() {}
  exposed_each(fn: (i: number) => unknown) {
    fn(0)
  }
  exposed_object = expose(() => {})
}

// What frames are made of.

/** As many items as there is room for, with what is to stand before and after them. */
function fill(item: (i: number) => string, room = FRAME): string {
  const items: string[] = []
  for (let i = 0, size = 100; ; i++) {
    const next = item(i)
    size += next.length + 1
    if (size > room) return items.join()
    items.push(next)
  }
}
const times = (count: number, item: (i: number) => unknown) =>
  Array.from({ length: count }, (_, i) => item(i)).join()
const call = (args: string, groups: string, name = 'drop') => `[0,[[1,1,0,"${name}",[${args}],[${groups}]]]]`
/** As many messages as there is room for; ids count from 1, or from what was sent before. */
const messages = (message: (id: number) => string, from = 1) => `[0,[${fill(i => message(i + from))}]]`
/** A list of as many values of a kind as there is room for, and as there may be. */
function values(kind: string, value: (i: number) => string, most = VALUES, name = 'drop'): string {
  let count = 0
  for (let size = 200; size < FRAME && count < most; count++)
    size += value(count).length + `${count}`.length + 6
  return call(`[${times(count - 1, value)}]`, `["${kind}",${times(count - 1, i => `[0,${i}]`)}]`, name)
}
const CELLS = 1 << 18
const table = (names: number, records: number, more = '', name = 'drop') => {
  const column = `[${'1,'.repeat(records - 1)}1]`
  return call(`[[${times(names, i => `"n${i}${more}"`)}],${times(names, () => column)}]`, '["t",[0]]', name)
}
const TABLES = 1024
const SMALL_TABLE = `[["a","b"],[${times(34, () => 1)}],[${times(34, () => 1)}]]`
const nested = (depth: number, inner = '') => '['.repeat(depth) + inner + ']'.repeat(depth)
const binary = (json: string, bytes = 0) => {
  const text = Buffer.from(json)
  const header = Buffer.alloc(8)
  header.writeUInt32BE(text.length)
  return Buffer.concat([header, text, Buffer.alloc(-text.length & 7), Buffer.alloc(bytes)])
}
/** As many values as there is room for that are each so many bytes. */
const ranges = (type: string, size: number, count = VALUES) => {
  const json = call(`[${times(count, () => `"${type}"`)}]`, `["b",${times(count, i => `[0,${i}]`)}]`)
  return binary(`${json.slice(0, -1)},[[0${`,${size}`.repeat(count)}]]]`, 8 * size * count)
}
const chinese = (length: number) =>
  String.fromCodePoint(...Array.from({ length }, (_, i) => 0x4e00 + ((i * 7) % 20_000)))
/** The first numbers that V8 keeps in one place of a Map: its hash of them ends in as many zeros. */
function* colliding(bits = 15) {
  for (let n = 0; ; n++) {
    let hash = (~n + (n << 15)) | 0
    hash ^= hash >>> 12
    hash = (hash + (hash << 2)) | 0
    hash ^= hash >>> 4
    hash = Math.imul(hash, 2057)
    if (((hash ^ (hash >>> 16)) & ((1 << bits) - 1)) === 0) yield n
  }
}
const take = (count: number, numbers: Iterator<number>) =>
  Array.from({ length: count }, () => numbers.next().value as number)
/** A Map's entries in Maps, or the like: a list in a list, with the groups that make each of them one. */
function chain(kind: string, depth: number, wrap: (inner: string) => string, step: string): string {
  let value = '[]'
  const places = ['[0]']
  for (let i = 1; i < depth; i++) {
    value = wrap(value)
    places.unshift(`[0${step.repeat(i)}]`)
  }
  return call(value, `["${kind}",${places}]`)
}
/** Gives an iterator as number 1, which is read at once. */
const walked = '[0,[[1,1,0,"walk",[[1,"iterator"]],[["i",[0]]]]]]'
const cyclic = `[0,[[1,1,0,"echo",[{"a":[0]}],[["c",[0,"a"]]]]]]`

const LARGE = 'reads of a large answer'
const cases: Record<string, () => Frames> = {
  // Values
  'one string': () => call(`"${'x'.repeat(FRAME - 100)}"`, ''),
  numbers: () =>
    call(
      fill(() => '0'),
      ''
    ),
  objects: () => call(`[${fill(() => '{}')}]`, ''),
  'objects of one member': () => call(`[${fill(() => '{"a":0}')}]`, ''),
  'an object of many members': () => call(`{${fill(i => `"${i.toString(36)}":[]`)}}`, ''),
  'an object of array indices': () => call(`{${fill(i => `"${i * 4099}":[]`)}}`, ''),
  'one key over and over': () => call(`{${fill(() => '"a":[]')}}`, ''),
  'nothing but nesting': () => call(nested(FRAME / 2 - 100), ''),
  'as deep as may be': () =>
    call(
      fill(() => nested(DEPTH - 1)),
      ''
    ),
  // Groups and places
  'groups of nothing': () =>
    call(
      '',
      fill(() => '["o"]')
    ),
  'groups of a long kind': () => call('', `["${'x'.repeat(FRAME - 100)}",[0]]`),
  places: () => call('0', `["Date",${fill(() => '[0]')}]`),
  'one path': () => call('0', `["Date",[${fill(() => '0')}]]`),
  'deep places': () =>
    call(
      nested(DEPTH - 2),
      fill(() => `["o",[${Array(DEPTH - 3).fill(0)}]]`, FRAME - 1000)
    ),
  'deep places by long names': () => {
    const name = 'x'.repeat(100)
    const place = `[0${`,"${name}"`.repeat(DEPTH - 5)}]`
    return call(
      `${`{"${name}":`.repeat(DEPTH - 5)}0${'}'.repeat(DEPTH - 5)}`,
      `["undefined",${fill(() => place, FRAME - 30_000)}]`
    )
  },
  'deep places that differ': () => {
    const count = 8000
    const stem = Array(DEPTH - 5)
      .fill(0)
      .join()
    return call(
      nested(DEPTH - 6, `[${times(count, () => 0)}]`),
      `["undefined",${times(count, i => `[${stem},${i}]`)}]`
    )
  },
  'cycles to a deep place': () =>
    call(
      `${nested(190, '[]')},[${times(9000, () => `[${Array(190).fill(0)}]`)}]`,
      `["c",${times(9000, i => `[1,${i}]`)}]`
    ),
  'a cycle a place': () => values('c', () => '[0]'),
  // Leaves
  undefineds: () => values('undefined', () => '0'),
  'numbers that are none': () => values('number', () => '"NaN"'),
  Dates: () => values('Date', () => '"0"'),
  'Dates as they are sent': () => values('Date', () => '"2020-01-01T00:00:00.000Z"'),
  'Dates by local time': () => values('Date', () => '"Thu, 01 Jan 1970 00:00:00"'),
  'Dates with comments': () => values('Date', () => '"(((((((((((((((((((((((((((((((((((())))"'),
  bigints: () => values('bigint', () => '"1"'),
  'bigints at the limit': () => values('bigint', () => `"${'9'.repeat(10_000)}"`),
  'bigints of a thousand digits': () => values('bigint', () => `"${'9'.repeat(1000)}"`),
  'bigints that are none': () => values('bigint', () => '"x"'),
  URLs: () => values('URL', () => '"a:"'),
  'URLs of a host': () => values('URL', () => '"http://a"'),
  'URLs of a number': () => values('URL', () => '"http://0xffffffff"'),
  'URLs in other letters': () => values('URL', () => '"http://xn--bcher-kva"'),
  'URLs of a long host': () => values('URL', () => `"http://${'a.'.repeat(120)}a"`),
  'URLs that are none': () => values('URL', () => '""'),
  'a URL of dots': () => call(`"http://a/${'a/../'.repeat(800_000)}"`, '["URL",[0]]'),
  'a URL of letters to be escaped': () => call(`"http://a/${' '.repeat(FRAME - 200)}"`, '["URL",[0]]'),
  'hosts in other letters': () => values('URL', () => `"${new URL(`http://${chinese(9000)}`).href}"`),
  RegExps: () => values('regexp', () => '"//"'),
  'a long RegExp': () => call(`"/${'(?:a|'.repeat(800_000)}/"`, '["regexp",[0]]'),
  'registered types': () => values('custom', i => `[${i}]`).replace('"custom"', '["custom","Point"]'),
  // Tables: as many cells as there may be
  'a table of one name': () => table(1, CELLS / 5 - 8),
  'a table of two names': () => table(2, CELLS / 6 - 8),
  'a table of six names': () => table(6, CELLS / 10 - 8),
  'a table of many names': () => table(32, CELLS / 36 - 8),
  'a table of long names': () => table(1, CELLS / 5 - 8, 'x'.repeat(2_000_000)),
  'tables of one': () => values('t', () => '[["a"],[1]]', TABLES),
  'tables of many': () => values('t', () => SMALL_TABLE, TABLES),
  'tables of nothing': () => values('t', () => `[[${times(24, i => `"n${i}"`)}]${',[]'.repeat(24)}]`, TABLES),
  'tables in tables': () =>
    chain('t', 95, inner => `[["a"],[${inner}]]`, ',1,0').replace('[]', '[["a"],[1]]'),
  'tables that share their names': () =>
    call(
      `[["${'x'.repeat(FRAME - 50_000)}"],${times(1000, () => '[[0],[]]')}]`,
      `["c",${times(1000, i => `[0,${i + 1},0]`)}],["t",${times(1000, i => `[0,${i + 1}]`)}]`
    ).replaceAll('[[0],[]]', '[[0,0],[]]'),
  'more tables than there may be': () => values('t', () => '[["a"],[1]]', 1e6),
  'a table that is too large': () => table(1, CELLS / 2),
  'a table, sent back': () => table(1, CELLS / 5 - 8, '', 'echo'),
  'a table of many names, sent back': () => table(32, 1 << 12, '', 'echo'),
  // Sent back
  'Dates, sent back': () => values('Date', () => '"2020-01-01T00:00:00.000Z"', 2 * VALUES, 'echo'),
  'Maps of nothing, sent back': () => values('m', () => '[]', VALUES, 'echo'),
  'a Map, sent back': () => call(`[${times(2 * VALUES - 2, i => `[${i},{}]`)}]`, '["m",[0]]', 'echo'),
  'Errors, sent back': () =>
    values('e', () => '{"class":"Error","name":"","message":""}', VALUES / 4, 'echo'),
  'Errors in Errors, sent back': () => {
    const one = '{"class":"Error","name":"","message":"","cause":{"class":"Error","name":"","message":""}}'
    const count = VALUES / 8
    const places = (last: string) => times(count, i => `[0,${i}${last}]`)
    return call(`[${times(count, () => one)}]`, `["e",${places(',"cause"')},${places('')}]`, 'echo')
  },
  'references, sent back': () => values('o', i => `[${i + 1},""]`, VALUES, 'echo'),
  'registered types, sent back': () =>
    values('custom', i => `[${i}]`, VALUES, 'echo').replace('"custom"', '["custom","Point"]'),
  'bytes, sent back': () => {
    const frame = ranges('Uint8Array', 1).toString('latin1').replace('"drop"', '"echo"')
    return Buffer.from(frame, 'latin1')
  },
  'a list, sent back': () => call(`[${fill(() => '""', 1 << 18)}]`, '', 'echo'),
  // More than there may be
  'more places than there may be': () => values('Date', () => '"0"', 1e6),
  'more references than there may be': () => values('o', i => `[${i + 1},""]`, 1e6),
  'more Maps than there may be': () => values('m', () => '[]', 1e6),
  'more bytes than there may be': () => ranges('DataView', 1, 150_000),
  'places, and a Map that is too much': () => {
    const entries = fill(i => `[${i},0]`, FRAME - 700_000)
    return call(`"0",[${entries}]`, `["undefined",${times(VALUES - 1, () => '[0]')}],["m",[1]]`)
  },
  // Containers
  'Maps of nothing': () => values('m', () => '[]'),
  'Sets of nothing': () => values('s', () => '[]'),
  'Maps of one': () => values('m', () => '[[0,0]]', VALUES / 2),
  'a Map': () => call(`[${times(2 * VALUES - 2, i => `[${i},0]`)}]`, '["m",[0]]'),
  'a Map that is too much': () => call(`[${fill(i => `[${i},0]`)}]`, '["m",[0]]'),
  'a Map of equal keys': () => call(`[${times(2 * VALUES - 2, () => '[0,0]')}]`, '["m",[0]]'),
  'a Map of strings': () => call(`[${times(2 * VALUES - 2, i => `["${i}",0]`)}]`, '["m",[0]]'),
  'a Map of long strings': () =>
    call(`[${fill(i => `["${String(i).padStart(1000, 'x')}",0]`)}]`, '["m",[0]]'),
  'a Map of fractions': () => call(`[${times(2 * VALUES - 2, i => `[${i}.5,0]`)}]`, '["m",[0]]'),
  'a Map of lists': () => call(`[${times(2 * VALUES - 2, () => '[[],0]')}]`, '["m",[0]]'),
  'a Map of keys that collide': () =>
    call(`[${take(2 * VALUES - 2, colliding(13)).map(n => `[${n},0]`)}]`, '["m",[0]]'),
  'Maps of keys that collide': () => {
    const map = `[${take(1023, colliding()).map(n => `[${n},0]`)}]`
    return values('m', () => map, VALUES / 513)
  },
  'Maps of keys that collide, and tables': () => {
    const map = `[${take(1023, colliding()).map(n => `[${n},0]`)}]`
    const maps = Math.floor(VALUES / 513)
    return call(
      `[${times(maps, () => map)},${times(TABLES, () => SMALL_TABLE)}]`,
      `["m",${times(maps, i => `[0,${i}]`)}],["t",${times(TABLES, i => `[0,${i + maps}]`)}]`
    )
  },
  'Sets of keys that collide': () => {
    const set = `[${take(1023, colliding())}]`
    return values('s', () => set, VALUES / 513)
  },
  'Sets of few that collide': () => {
    const set = `[${take(255, colliding())}]`
    return values('s', () => set, VALUES / 129)
  },
  'a Set': () => call(`[${times(2 * VALUES - 2, i => `${i}`)}]`, '["s",[0]]'),
  'a Set of one': () => call(`[${times(2 * VALUES - 2, () => '0')}]`, '["s",[0]]'),
  'a Set of strings of digits': () => call(`[${times(2 * VALUES - 2, i => `"${i * 4099}"`)}]`, '["s",[0]]'),
  'a Set of bigints that collide': () =>
    values('bigint', i => `"${(BigInt(i + 1) << 64n) + 1n}"`, VALUES / 2).replace(
      /\]\]\]\]$/,
      ',["s",[0]]]]]]'
    ),
  'Maps in Maps': () => chain('m', 95, inner => `[[0,${inner}]]`, ',0,1'),
  'Sets in Sets': () => chain('s', 190, inner => `[${inner}]`, ',0'),
  'a Map that is none at its end': () => call(`[${fill(() => '[1,1]')},1]`, '["m",[0]]'),
  Errors: () => values('e', () => '{"class":"Error","name":"","message":""}', VALUES / 4),
  'Errors with causes': () =>
    values(
      'e',
      () =>
        '{"class":"Error","name":"E","message":"m","code":1,"cause":1,"errors":1,"omitted":[],"stack":"","fields":["a",1]}',
      VALUES / 5
    ),
  'Errors of a DOM': () => values('e', () => '{"class":"DOMException","name":"","message":""}', VALUES / 4),
  'an Error with many fields': () =>
    call(
      `{"class":"Error","name":"E","message":"m","fields":[${times(VALUES - 4, i => `"a${i}",0`)}]}`,
      '["e",[0]]'
    ),
  'an Error with fields of digits': () =>
    call(
      `{"class":"Error","name":"E","message":"m","fields":[${times(VALUES - 4, i => `"${i * 4099}",0`)}]}`,
      '["e",[0]]'
    ),
  'registered types that are none': () =>
    call(`[${times(VALUES, () => '[]')}]`, `[["custom","x"],${times(VALUES, i => `[0,${i}]`)}]`),
  // References and bytes
  references: () => values('o', i => `[${i + 1},""]`),
  'references to functions': () => values('f', i => `[${i + 1},""]`),
  'one reference over and over': () => values('o', () => '[1,""]'),
  'references to the root': () => values('o', () => '[0,""]'),
  'flows: iterators': () => values('i', i => `[${i + 1},"iterator"]`, VALUES / 2),
  'flows: streams of bytes': () => values('r', i => `[${i + 1},"stream",1]`, VALUES / 12),
  'flows: streams': () => values('r', i => `[${i + 1},"stream",0]`, VALUES / 12),
  'flows: streams to write': () => values('w', i => `[${i + 1},"stream"]`, VALUES / 12),
  'flows: promises': () => values('p', i => `[${i + 1},"promise"]`, VALUES / 2),
  'flows: signals': () => values('a', i => `[${i + 1},"signal"]`, VALUES / 12),
  'flows: aborted signals': () => values('a', i => `[${i + 1},"signal",1]`, VALUES / 12),
  'flows: iterators, sent back': () => values('i', i => `[${i + 1},"iterator"]`, VALUES / 2, 'echo'),
  'flows: promises, sent back': () => values('p', i => `[${i + 1},"promise"]`, VALUES / 2, 'echo'),
  'references home': () => values('h', () => '0'),
  'references home that are gone': () => [
    '[0,[[2,1,0,"object"]]]',
    '[2,[[13,1,1]]]',
    values('h', () => '1').replace('[0,[[1,1', '[2,[[1,2')
  ],
  'no bytes': () => binary(`[0,[],[[0${',0'.repeat(FRAME / 2 - 100)}]]]`),
  'empty ranges': () => ranges('DataView', 0),
  ranges: () => ranges('DataView', 1),
  buffers: () => ranges('ArrayBuffer', 1),
  'messages with bytes': () => {
    const count = 65_000
    const json = `[0,[${times(count, i => `[1,${i + 1},0,"drop",["Buffer"],[["b",[0]]]]`)}]`
    return binary(`${json},[${times(count, i => `[${i},1]`)}]]`, 8 * count)
  },
  'JSON in other letters': () => binary(call(`"${'語'.repeat((FRAME - 100) / 3)}"`, '')),
  // Paths
  'one name': () => `[0,[[2,1,0,"${'x'.repeat(FRAME - 100)}"]]]`,
  names: () => `[0,[[2,1,0,[${fill(() => '"a"')}]]]]`,
  symbols: () => `[0,[[2,1,0,[${fill(i => `["for","${i}"]`)}]]]]`,
  'well-known symbols': () => `[0,[[2,1,0,[${fill(() => '["well-known","iterator"]')}]]]]`,
  'one symbol': () => `[0,[[2,1,0,[["for","${'x'.repeat(FRAME - 100)}"]]]]]`,
  'round and round a cycle': () => [cyclic, `[0,[[2,2,-1,[${fill(() => '"a"')}]]]]`],
  // Messages
  'messages that are none': () => messages(() => '0'),
  pings: () => messages(id => `[8,${id}]`),
  'a release of nothing': () => messages(() => '[13]'),
  releases: () => messages(() => '[13,0,1]'),
  'a long release': () => `[0,[[13,${fill(() => '0,1')}]]]`,
  calls: () => messages(id => `[1,${id},0,"drop",[]]`),
  'calls with a value': () => messages(id => `[1,${id},0,"echo",[0]]`),
  'calls with a list': () => messages(id => `[1,${id},0,"echo",[[]]]`),
  'calls with a RegExp': () => messages(id => `[1,${id},0,"drop",["//"],[["regexp",[0]]]]`),
  'calls that fail': () => messages(id => `[1,${id},0,"fail",[]]`),
  'records for a call that waits': () => call(`[${fill(() => '{}')}]`, '', 'later'),
  'names for a call that waits': () => call(`{${fill(i => `"${i.toString(36)}z":0`)}}`, '', 'later'),
  'a Map for a call that waits': () =>
    call(`[${times(2 * VALUES - 2, i => `[${i},{}]`)}]`, '["m",[0]]', 'later'),
  'calls that end later': () => messages(id => `[1,${id},0,"later",[]]`),
  'calls of a missing member': () => messages(id => `[1,${id},0,"x",[]]`),
  'calls of a reference of theirs': () => messages(id => `[1,${id},0,"echo",[[${id},""]],[["o",[0]]]]`),
  'reads of a missing member': () => messages(id => `[2,${id},0,"x"]`),
  'reads of a hidden member': () => messages(id => `[2,${id},0,"constructor"]`),
  'reads of the root': () => messages(id => `[2,${id},0,[]]`),
  'reads of a function': () => messages(id => `[2,${id},0,"drop"]`),
  'reads of an object': () => messages(id => `[2,${id},0,"object"]`),
  'reads of long names': () => messages(id => `[2,${id},0,"${'x'.repeat(200)}"]`),
  writes: () => messages(id => `[4,${id},0,"drop",0]`),
  'one-way calls': () => messages(() => '[14,0,0,"drop",[]]'),
  'calls in a span': () =>
    messages(id => `[30,"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",1,${id},0,"drop",[]]`),
  'calls with a key': () => messages(id => `[23,"k",1,${id},0,"drop",[]]`),
  'calls made again': () => messages(id => `[22,1,${id},0,"drop",[]]`),
  descriptions: () => messages(id => `[9,${id},0,[]]`),
  'obtained: the root': () => messages(id => `[15,${id},0,[]]`),
  'iterated: the root': () => messages(id => `[16,${id},0,[]]`),
  'steps of what has none': () => messages(id => `[17,${id},0,"next"]`),
  'steps with a value': () => messages(id => `[17,${id},0,"next",0]`),
  'calls given up': () => `[0,[[1,1,0,"later",[]],${fill(() => '[18,1,0]', FRAME - 100)}]]`,
  'a result of references': () =>
    `[1,[[10,1,[${times(VALUES, i => `[${i + 1},""]`)}],[["o",${times(VALUES, i => `[${i}]`)}]]]]]`,
  'a result of Dates': () =>
    `[1,[[10,1,[${times(VALUES, () => '"2020-01-01T00:00:00.000Z"')}],[["Date",${times(VALUES, i => `[${i}]`)}]]]]]`,
  'replies to nothing': () => messages(() => '[10,1]'),
  items: () => [walked, `[1,[[20,1,0,[${fill(() => '0')}]]]]`],
  'items one by one': () => [walked, `[1,[${fill(() => '[20,1,0,[0]]')}]]`],
  'items of references': () => [
    walked,
    `[1,[[20,1,0,[${times(VALUES, i => `[${i + 2},""]`)}],[["o",${times(VALUES, i => `[${i}]`)}]]]]]`
  ],
  'ends of iterators': () => [walked, `[1,[${fill(() => '[21,1,1]')}]]`],
  pulls: () => [`[0,[[2,1,0,"object"]]]`, `[1,[${fill(() => '[19,1,0]')}]]`],
  asks: () => messages(id => `[5,${id},0,"drop"]`),
  deletes: () => messages(id => `[6,${id},0,"drop"]`),
  'lists of members': () => messages(id => `[7,${id},0,[]]`),
  constructions: () => messages(id => `[3,${id},0,"drop",[]]`),
  'reads of an answer': () => [`[0,[[1,1,0,"echo",[{"a":0}]]]]`, messages(id => `[2,${id},-1,"a"]`, 2)],
  'calls of references that are gone': () => [
    `[0,[[2,1,0,"object"]]]`,
    '[2,[[13,1,1]]]',
    messages(id => `[1,${id},1,"x",[]]`, 2).replace('[0', '[2')
  ],
  'reads of a long answer': () => [
    `[0,[[1,1,0,"echo",[{"a":[${times(2000, () => 0)}]}]]]]`,
    messages(id => `[2,${id},-1,"a"]`, 2)
  ],
  [LARGE]: () => [
    `[0,[[1,1,0,"echo",[{"a":[${fill(() => '0', FRAME - 1000)}]}]]]]`,
    `[0,[${times(3, i => `[2,${i + 2},-1,"a"]`)}]]`
  ],
  'calls on answers that wait': () =>
    `[0,[[1,1,0,"later",[]],${fill(i => `[2,${i + 2},-${i + 1},"a"]`, FRAME - 100)}]]`,
  'long ways round a cycle': () => [cyclic, messages(id => `[2,${id},-1,[${times(DEPTH, () => '"a"')}]]`, 2)],
  'an answer shared at every level': () => {
    // Each level twice: 2 ** 90 when written out.
    const depth = 90
    let value = '[]'
    for (let i = 0; i < depth; i++) value = `[${value},[0${',0'.repeat(depth - i)}]]`
    const places = times(depth, i => `[0${',0'.repeat(i)},1]`)
    return call(value, `["c",${places}]`, 'echo')
  }
}

// How they are measured.

/** What it takes until others have their turn, in ms of the processor: others use the machine, too. */
async function cost(act: () => void): Promise<number> {
  const before = process.cpuUsage()
  act()
  await turn()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}

interface Took {
  /** The longest turn of the event loop. */
  readonly turn: number
  readonly whole: number
}

/** What a session takes for the last of some frames. */
async function read(frames: readonly Bytes[]): Promise<Took> {
  const [ours, its] = MemoryTransport.pair()
  ours.start({ onOpen() {}, onFrame() {}, onClose() {} })
  const settings = settingsOf({ onError() {} }, 'serve')
  const session = new SessionImpl(its, {
    ...settings,
    isInitiator: false,
    createRoot: () => new Home()
  }).start()
  await undefined
  for (const frame of [HELLO, ...frames.slice(0, -1)]) {
    ours.send(frame)
    await turn()
  }
  ours.hold()
  ours.send(frames.at(-1)!)
  gc()
  const turns = [await cost(() => ours.letGo(1))]
  const { link } = session
  // The last turns are for what comes of promises, and of a session that has ended.
  for (let last = 3; last > 0; last--) {
    if (link.processedFrames < link.receiver.receivedFrames && link.state !== 'closed') last = 3
    turns.push(await cost(() => {}))
  }
  await session.close()
  return { turn: Math.max(...turns), whole: turns.reduce((sum, took) => sum + took) }
}

function jsonOf(frame: Bytes): string {
  if (typeof frame === 'string') return frame
  const length = new DataView(frame.buffer, frame.byteOffset).getUint32(0)
  return new TextDecoder().decode(frame.subarray(8, 8 + length))
}

let fine = true
const [few, many] = RUNS
console.log(`${'frame'.padEnd(36)} JSON.parse  longest turn  difference   in all, in ms`)
for (const [name, make] of Object.entries(cases)) {
  if (!name.includes(process.argv[2] ?? '')) continue
  const made = make()
  const frames = Array.isArray(made) ? made : [made]
  const json = jsonOf(frames.at(-1)!)
  if (json.length > FRAME) throw new Error(`${name}: ${json.length} characters`)
  let [parsing, longest, whole] = [1, 1, 1].map(() => Number.POSITIVE_INFINITY) as [number, number, number]
  for (let i = 0; i < few || (i < many && longest - parsing > MOST); i++) {
    gc()
    parsing = Math.min(parsing, await cost(() => JSON.parse(json)))
    const took = await read(frames)
    longest = Math.min(longest, took.turn)
    whole = Math.min(whole, took.whole)
  }
  const over = longest - parsing > MOST && name !== LARGE
  fine &&= !over
  const figures = [parsing, longest, longest - parsing, whole].map(ms => ms.toFixed().padStart(11))
  console.log(`${name.padEnd(36)}${figures.join('')}${over ? '  TOO LONG' : ''}`)
}
if (!fine) process.exitCode = 1
