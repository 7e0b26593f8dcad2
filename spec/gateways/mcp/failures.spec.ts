// Specs of what a model is told of wrong arguments.
import t from 'tap'
import { toFailure } from '../../../lib/gateways/mcp/failures.js'
import { ArgumentsError, type Issue } from '../../../lib/index.js'
import { textOf } from '../../support/mcp-clients.js'

t.test('issues name the parameters', async t => {
  const told = (list: string[] | undefined, path: Issue['path']) => {
    const parameters = { list, schema: {} }
    const tool = { name: 'tool', member: 'tool', description: undefined, output: undefined, parameters }
    return textOf(toFailure(new ArgumentsError('wrong', [{ path, message: 'is wrong' }]), tool, false))
  }
  const begins = 'the arguments of tool are wrong:\n- '
  t.equal(told(['a', 'b?'], [1]), `${begins}b: is wrong`)
  t.equal(told(['a'], [0, 'rows', 3, 'x y']), `${begins}a.rows[3]["x y"]: is wrong`)
  t.equal(told(['a', '...more'], [4, 'x']), `${begins}more[3].x: is wrong`)
  t.equal(told(['a'], [2]), `${begins}arg2: is wrong`, 'one that has no name')
  t.equal(told(['a'], []), `${begins}is wrong`, 'an issue of all arguments together')
  t.equal(told(['a'], ['x']), `${begins}is wrong`)
  t.equal(told(undefined, [0, 'rows', 1]), `${begins}rows[1]: is wrong`, 'a member of the one object')
  t.equal(told(undefined, [0]), `${begins}is wrong`)
})
