import t from 'tap'
import {
  blocksOfPages,
  filesOf,
  isNatsPage,
  PAGES,
  Programs,
  testBlocks
} from '../../support/documentation.js'
import { skipWithoutNats, startNatsServer } from '../../support/nats-server.js'

t.test(
  'every block of the pages about NATS compiles, runs, and prints the output that it states',
  { skip: skipWithoutNats },
  async t => {
    const { url } = await startNatsServer(t)
    const blocks = new Map(
      blocksOfPages(PAGES.filter(isNatsPage)).map(([name, code]) => [
        name,
        code.replaceAll('nats://localhost:4222', url)
      ])
    )
    const programs = new Programs(t, filesOf(blocks))
    const compiled = programs.compile()
    await testBlocks(t, programs, blocks)
    t.equal(await compiled, '', 'all of them compile')
  }
)
