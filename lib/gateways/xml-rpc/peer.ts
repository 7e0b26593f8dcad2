// The peer of a connection to a server of XML-RPC: calls its methods.

import type { Limits } from '../../protocol/limits.js'
import type { Session } from '../../types/session.js'
import type { HttpClient } from '../support/http-client.js'
import { type MethodDetails, MethodPeer } from '../support/method-peer.js'
import { writeCall } from './documents.js'
import { decodeDocument } from './encoding.js'
import { MalformedXmlError } from './malformed.js'
import { readDocument } from './reader.js'
import type { Sax } from './sax.js'
import { writeValue } from './writer.js'
import { receivedFault, XmlRpcFault } from './xml-rpc-fault.js'

export class XmlRpcPeer extends MethodPeer {
  constructor(
    bridge: Session,
    private readonly client: HttpClient,
    private readonly sax: Sax,
    private readonly limits: Limits
  ) {
    super(bridge, 'XML-RPC')
    void bridge.closed.then(reason => {
      this.end(reason)
      client.close()
    })
  }

  protected async callMethod(
    method: string,
    args: readonly unknown[],
    signal?: AbortSignal | undefined
  ): Promise<unknown> {
    const { client, sax, limits } = this
    const params = args.map((arg, i) => writeValue(arg, [`args[${i}]`], limits))
    const { body, contentType } = await client.post(writeCall(method, params), signal)
    const document = await readDocument(sax, decodeDocument(body, contentType), limits)
    switch (document.kind) {
      case 'result':
        return document.value
      case 'fault':
        throw receivedFault(document.value)
      case 'call':
        throw new MalformedXmlError('the response is a call')
    }
  }

  protected async listMethods(signal: AbortSignal | undefined): Promise<string[]> {
    const names = await this.callMethod('system.listMethods', [], signal)
    if (Array.isArray(names) && names.every(name => typeof name === 'string')) return names
    throw new MalformedXmlError('system.listMethods returned no list of names')
  }

  /** The help texts, in one request. A server without `system.multicall` gives none. */
  protected async describeMethods(
    names: readonly string[],
    signal: AbortSignal | undefined
  ): Promise<MethodDetails[]> {
    const calls = names.map(name => ({ methodName: 'system.methodHelp', params: [name] }))
    const outcomes = await this.callMethod('system.multicall', [calls], signal).catch(error => {
      if (!(error instanceof XmlRpcFault)) throw error
    })
    return names.map((_, i) => {
      const help = Array.isArray(outcomes) && Array.isArray(outcomes[i]) ? outcomes[i][0] : undefined
      return typeof help === 'string' && help !== '' ? { help } : {}
    })
  }
}
