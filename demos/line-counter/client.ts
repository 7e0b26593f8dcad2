// `npm run demo:client -- FILE --url ws://127.0.0.1:18861`: lets the server count the lines of a local file.
// `--stream` passes the lines as an iterator instead of the file; `--chaos` cuts the socket at the
// first data, and then every 100 ms.
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { connect } from 'netref'
import { bold, dim, main } from '../terminal.js'
import { Cutter } from './cutter.js'
import type { LineCounter } from './line-counter.js'
import { Progress } from './progress.js'
import { TextFile } from './text-file.js'

/** Files with more lines get a progress bar. */
const LONG = 40

const times = (count: number, word: string) => `${bold(count)} ${count === 1 ? word : `${word}s`}`

await main(async () => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      url: { type: 'string', default: 'ws://127.0.0.1:18861' },
      stream: { type: 'boolean', default: false },
      chaos: { type: 'boolean', default: false }
    }
  })
  const path = positionals[0] ?? relative('.', fileURLToPath(new URL('./testfile.txt', import.meta.url)))
  const file = await TextFile.open(path)

  using cutter = values.chaos ? await Cutter.before(values.url) : undefined

  await using conn = connect<LineCounter>(cutter?.url ?? values.url, {
    allowPublicAttrs: true,
    reconnect: { delay: 10 }
  })
  await conn.ping()
  console.log(
    `${dim('client')}  process ${process.pid} reads ${path}; the server calls it back with each line\n`
  )

  const progress = (await file.isLongerThan(LONG)) ? new Progress(file.size) : undefined
  const noisy = (line: string) => (progress ? progress.add(line) : console.log(dim('Noisy:'), line))
  const { root } = conn
  cutter?.start()
  const count = await (values.stream ? root.count_lines(file.lines(), noisy) : root.line_counter(file, noisy))
  progress?.end()
  cutter?.stop()

  console.log(`\nThe server counted ${times(count, 'line')}.`)
  if (cutter) console.log(`Their socket was cut ${times(cutter.cuts, 'time')}.`)
})
