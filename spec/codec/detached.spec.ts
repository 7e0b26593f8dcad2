// Bytes that are gone: what was made of them says so by its path, and not as an empty value.
import t from 'tap'
import { overMemory, rejectionOf } from '../support/helpers.js'

const gone = (make: (buffer: ArrayBuffer) => unknown) => {
  const buffer = new ArrayBuffer(16)
  const bytes = make(buffer)
  structuredClone(buffer, { transfer: [buffer] })
  return bytes
}

const KINDS: Record<string, (buffer: ArrayBuffer) => unknown> = {
  ArrayBuffer: buffer => buffer,
  Uint8Array: buffer => new Uint8Array(buffer, 8),
  Float64Array: buffer => new Float64Array(buffer),
  DataView: buffer => new DataView(buffer, 4),
  Buffer: buffer => Buffer.from(buffer)
}

t.test('a detached buffer is refused with its path; an empty one is sent', t =>
  overMemory(t, { size: (value: { of: Uint8Array }) => value.of.byteLength }, async ({ root }) => {
    for (const [kind, make] of Object.entries(KINDS)) {
      t.match(
        await rejectionOf(root.size({ of: gone(make) as Uint8Array })),
        {
          name: 'UnsendableError',
          message: /args\[0\]\.of is a buffer that was transferred, which cannot be sent: it is detached/
        },
        kind
      )
    }
    t.equal(await root.size({ of: new Uint8Array() }), 0)
  })
)
