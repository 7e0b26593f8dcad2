// Performs the requests of JSON-RPC clients on the root of a session, and writes the answers.

import type { GatewayClient } from '../../server/gateway.js'
import type { RemoteHandle } from '../../types/netref.js'
import { callFailureOf } from '../support/call-failure.js'
import { giveBack } from '../support/give-back.js'
import { toJsonText } from '../support/json-value.js'
import { type MethodPath, methodAt } from '../support/methods.js'
import { namedArguments } from '../support/named-arguments.js'
import { callSystemMethod } from '../support/system-methods.js'
import { ErrorCode, errorAnswer, errorOf, resultAnswer } from './answers.js'
import { describeByOpenRpc } from './open-rpc.js'
import { type CallRequest, type MessageHead, parseText, readRequest } from './requests.js'

/** Maximum number of requests in a batch. */
const MAX_BATCH = 1000
const DISCOVER = 'rpc.discover'

/** An answer, which is empty for a notification, or the promise of one. */
export type Answer = string | Promise<string>

export interface RequestHandlerOptions {
  /** Whether `rpc.discover` and `system.*` are answered. */
  readonly discover: boolean
  /** The JSON in the place of null in results of version 1.0. */
  readonly nullResult: 'null' | '{}'
}

const UNKNOWN_HEAD: MessageHead = { version: '2.0', id: 'null' }

export class RequestHandler {
  constructor(
    private readonly root: RemoteHandle<unknown>,
    private readonly client: Pick<GatewayClient, 'limits' | 'exposeStacks' | 'report'>,
    private readonly options: RequestHandlerOptions
  ) {}

  /** Performs the requests of a text. Their calls have begun, in order, when it returns. Never rejects. */
  handle(bytes: Uint8Array): Answer {
    let message: unknown
    try {
      message = parseText(bytes, this.client.limits)
    } catch (error) {
      return errorAnswer(UNKNOWN_HEAD, { code: ErrorCode.parse, message: (error as Error).message })
    }
    return Array.isArray(message) ? this.#handleBatch(message) : this.#handleMessage(message)
  }

  #handleMessage(message: unknown): Answer {
    const request = readRequest(message)
    return 'fault' in request ? invalidAnswer(request, request.fault) : this.#handleRequest(request)
  }

  #handleBatch(messages: readonly unknown[]): Answer {
    if (messages.length === 0) return invalidAnswer(UNKNOWN_HEAD, 'a batch has at least one request')
    if (messages.length > MAX_BATCH)
      return invalidAnswer(UNKNOWN_HEAD, `a batch has at most ${MAX_BATCH} requests, not ${messages.length}`)
    let room = this.client.limits.frameBytes
    const answers = messages.map(async message => {
      const request = readRequest(message)
      const answer =
        'fault' in request ? invalidAnswer(request, request.fault) : await this.#handleRequest(request)
      room -= answer.length
      if (room >= 0 || answer === '') return answer
      return errorAnswer(request, { code: ErrorCode.busy, message: 'the answers of the batch are too long' })
    })
    return Promise.all(answers).then(all => {
      const texts = all.filter(Boolean)
      return texts.length > 0 ? `[${texts.join(',')}]` : ''
    })
  }

  async #handleRequest(request: CallRequest): Promise<string> {
    try {
      const result = await this.#call(request)
      if (!request.isNotification) return resultAnswer(request, this.#resultText(request, result))
      giveBack(result)
    } catch (error) {
      const failure = callFailureOf(error)
      if (!request.isNotification) return errorAnswer(request, errorOf(failure, this.client.exposeStacks))
      if (failure.kind === 'error') this.client.report(error)
    }
    return ''
  }

  /** @throws NoFormError. The references in the result are then given back; other results have none. */
  #resultText({ version }: CallRequest, result: unknown): string {
    try {
      const text = toJsonText(result, ['result'], this.client.limits, 'JSON-RPC')
      return text === 'null' && version === '1.0' ? this.options.nullResult : text
    } catch (error) {
      giveBack(result)
      throw error
    }
  }

  /** Calls a method. With parameters by position, the call has been made when it returns. */
  #call({ method, params }: CallRequest): Promise<unknown> {
    if (this.options.discover) {
      const args = isList(params) ? params : Object.values(params)
      if (method === DISCOVER) return describeByOpenRpc(this.root)
      const called = callSystemMethod(this.root, method, args, [DISCOVER])
      if (called) return called
    }
    const path = methodAt(this.root, method, this.client.limits.depth)
    return isList(params) ? path(...params) : this.#callNamed(path, method, params)
  }

  async #callNamed(
    path: MethodPath,
    method: string,
    params: Readonly<Record<string, unknown>>
  ): Promise<unknown> {
    return path(...(await namedArguments(this.root, method, params)))
  }
}

const invalidAnswer = (head: MessageHead, message: string): string =>
  errorAnswer(head, { code: ErrorCode.invalidRequest, message })

const isList = (params: CallRequest['params']): params is readonly unknown[] => Array.isArray(params)
