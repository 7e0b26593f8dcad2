import t from 'tap'
import {
  blocksOfPages,
  filesOf,
  isGatewayPage,
  PAGES,
  Programs,
  testBlocks
} from '../../support/documentation.js'

t.test(
  'every block of the pages of the gateways compiles, runs, and prints the output that it states',
  async t => {
    const blocks = new Map(blocksOfPages(PAGES.filter(isGatewayPage)))
    const programs = new Programs(t, filesOf(blocks))
    const compiled = programs.compile()
    await testBlocks(t, programs, blocks)
    t.equal(await compiled, '', 'all of them compile')
  }
)
