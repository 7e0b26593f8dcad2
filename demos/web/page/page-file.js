// The page's file, which the server reads: by reference, a part at a time. It knows nothing of netref.

export class PageFile {
  #lines

  /** @param {File} file */
  constructor(file) {
    this.name = file.name
    this.size = file.size
    this.#lines = linesOf(file)
  }

  /** The next lines, until they are `hint` characters; none at the end. As in Python. */
  async readlines(hint = Number.POSITIVE_INFINITY) {
    const lines = []
    for (let size = 0; size < hint; ) {
      const { value, done } = await this.#lines.next()
      if (done) break
      lines.push(value)
      size += value.length + 1
    }
    return lines
  }
}

async function* linesOf(file) {
  const reader = file.stream().pipeThrough(new TextDecoderStream()).getReader()
  let rest = ''
  for (;;) {
    const { value, done } = await reader.read()
    if (done) break
    const lines = (rest + value).split('\n')
    rest = lines.pop()
    yield* lines
  }
  if (rest !== '') yield rest
}

/** An example file. */
export function sampleFile(lines = 200_000) {
  const words =
    'to have an object here and use it there as if it were at home is all that this is about'.split(' ')
  const text = Array.from(
    { length: lines },
    (_, i) => `${i + 1}  ${words[i % words.length]} ${words[(i * 7) % words.length]}\n`
  )
  return new File(text, 'sample.txt', { type: 'text/plain' })
}
