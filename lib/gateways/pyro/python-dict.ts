// Dicts of Python: most are data, and some stand for other values.

/**
 * The value of a dict: a plain object, or a Map if a key is not a string. Serpent writes bytes as
 * `{'data': …, 'encoding': 'base64'}`, and values without a literal as a dict with `__class__`.
 *
 * @param noForm the error for what has no form
 */
export function fromPythonDict(
  entries: readonly (readonly [key: unknown, value: unknown])[],
  noForm: (what: string) => Error
): object | number {
  if (!entries.every(isNamed)) return new Map(entries)
  // It defines members, so that `__proto__` is a member like others.
  const dict: Readonly<Record<string, unknown>> = Object.fromEntries(entries)
  if (Object.hasOwn(dict, '__class__')) return fromClassDict(dict, noForm)
  return bytesOf(dict, entries.length) ?? dict
}

const isNamed = (entry: readonly [key: unknown, value: unknown]): entry is readonly [string, unknown] =>
  typeof entry[0] === 'string'

/** Classes that nothing here can stand for: the proxy of an object of the client, which cannot be called. */
const PROXY_CLASSES: ReadonlySet<unknown> = new Set(['Pyro4.core.Proxy', 'Pyro5.client.Proxy'])

function fromClassDict(
  dict: Readonly<Record<string, unknown>>,
  noForm: (what: string) => Error
): object | number {
  const { __class__: name } = dict
  if (name === 'float' && Object.hasOwn(dict, 'value')) return Number(dict.value)
  if (name === 'complex') throw noForm('a complex number')
  if (PROXY_CLASSES.has(name)) throw noForm('a proxy of Pyro')
  return dict.__exception__ === true ? exceptionOf(name, dict) : dict
}

/** An exception that is passed as a value. */
function exceptionOf(name: unknown, { args }: Readonly<Record<string, unknown>>): Error {
  const list = Array.isArray(args) ? args : []
  const error = new Error(typeof list[0] === 'string' ? list[0] : '')
  return Object.assign(error, { name: String(name).split('.').at(-1), args: list })
}

/** The bytes that a dict stands for; undefined if it is none of these. */
function bytesOf(dict: Readonly<Record<string, unknown>>, memberCount: number): Uint8Array | undefined {
  const { data, encoding } = dict
  if (memberCount !== 2 || encoding !== 'base64' || typeof data !== 'string') return undefined
  const bytes = Buffer.from(data, 'base64')
  const padding = data.endsWith('==') ? 2 : data.endsWith('=') ? 1 : 0
  // Node skips what is no base64.
  return bytes.length === (data.length / 4) * 3 - padding
    ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
    : undefined
}
