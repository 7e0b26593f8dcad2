// Freezes the intrinsics, as SES' lockdown() does, but without its repairs: a frozen inherited property blocks
// assignment of the same name.
const seen = new Set()

/** Freezes `thing` and everything reachable from it. */
function freeze(thing) {
  if (Object(thing) !== thing || seen.has(thing)) return
  seen.add(thing)
  freeze(Object.getPrototypeOf(thing))
  for (const key of Reflect.ownKeys(thing)) {
    const { value, get, set } = Object.getOwnPropertyDescriptor(thing, key)
    freeze(value)
    freeze(get)
    freeze(set)
  }
  Object.freeze(thing)
}

const GLOBALS = [
  'AggregateError Array ArrayBuffer Atomics BigInt BigInt64Array BigUint64Array Boolean DataView Date Error',
  'EvalError FinalizationRegistry Float32Array Float64Array Function Int16Array Int32Array Int8Array Intl Iterator',
  'JSON Map Math Number Object Promise Proxy RangeError ReferenceError Reflect RegExp Set SharedArrayBuffer String',
  'Symbol SyntaxError TypeError URIError Uint16Array Uint32Array Uint8Array Uint8ClampedArray WeakMap WeakRef',
  'WeakSet WebAssembly decodeURI decodeURIComponent encodeURI encodeURIComponent escape eval isFinite isNaN',
  'parseFloat parseInt unescape'
]
for (const name of GLOBALS.join(' ').split(' ')) freeze(globalThis[name])
// Intrinsics without a global name.
const HIDDEN = [
  function* () {},
  async () => {},
  async function* () {},
  [].values(),
  new Map().entries(),
  new Set().values(),
  ''[Symbol.iterator](),
  ''.matchAll(/a/g)
]
for (const thing of HIDDEN) freeze(Object.getPrototypeOf(thing))
