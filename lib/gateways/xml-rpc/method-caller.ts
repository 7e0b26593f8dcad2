// Performs the calls of XML-RPC clients on the root of a session: methods of the service and those of `system`.
import { setImmediate as nextTurn } from 'node:timers/promises'
import { LimitError } from '../../errors.js'
import type { GatewayClient } from '../../server/gateway.js'
import type { RemoteHandle } from '../../types/netref.js'
import { RefusedCallError } from '../support/call-failure.js'
import { giveBack } from '../support/give-back.js'
import { methodAt } from '../support/methods.js'
import { callSystemMethod } from '../support/system-methods.js'
import { writeFaultValue } from './documents.js'
import { faultOf } from './fault.js'
import { writeValue } from './writer.js'

const MULTICALL = 'system.multicall'
/** Number of calls of one request that are made before other work of the process gets its turn. */
const CALLS_PER_TURN = 64

export class MethodCaller {
  constructor(
    private readonly root: RemoteHandle<unknown>,
    private readonly client: Pick<GatewayClient, 'limits' | 'exposeStacks'>
  ) {}

  /**
   * Calls a method.
   *
   * @returns the result as a `<value>`
   * @throws what the call rejects with
   */
  async call(method: string, params: readonly unknown[]): Promise<string> {
    return method === MULTICALL ? await this.#callAll(params) : await this.#callOne(method, params)
  }

  async #callOne(method: string, params: readonly unknown[]): Promise<string> {
    const { root } = this
    const { limits } = this.client
    const result = await (callSystemMethod(root, method, params, [MULTICALL]) ??
      methodAt(root, method, limits.depth)(...params))
    try {
      return writeValue(result, ['result'], limits)
    } finally {
      giveBack(result)
    }
  }

  /** Makes the calls of a list, one after another. The outcome of each is a list with the result, or a fault. */
  async #callAll([calls, ...others]: readonly unknown[]): Promise<string> {
    if (!Array.isArray(calls) || others.length > 0)
      throw new RefusedCallError('bad-params', `${MULTICALL} takes a list of calls`)
    const { limits, exposeStacks } = this.client
    let xml = ''
    for (const [index, call] of calls.entries()) {
      if (index % CALLS_PER_TURN === CALLS_PER_TURN - 1) await nextTurn()
      try {
        if (xml.length > limits.frameBytes)
          throw new LimitError(
            'limit',
            `the results are longer than ${limits.frameBytes} (limits.frameBytes)`
          )
        xml += `<value><array><data>${await this.#callOfList(call)}</data></array></value>`
      } catch (error) {
        xml += writeFaultValue(faultOf(error, exposeStacks))
      }
    }
    return `<value><array><data>${xml}</data></array></value>`
  }

  async #callOfList(call: unknown): Promise<string> {
    const { methodName, params } = Object(call) as Record<string, unknown>
    if (typeof methodName !== 'string' || !Array.isArray(params))
      throw new RefusedCallError(
        'bad-params',
        `${MULTICALL} takes calls with a \`methodName\` and \`params\``
      )
    if (methodName === MULTICALL)
      throw new RefusedCallError('bad-params', `${MULTICALL} does not call itself`)
    return await this.#callOne(methodName, params)
  }
}
