// The peer of a connection to a server of net/rpc: calls its methods.

import { ExposureError, type Reason } from '../../errors.js'
import type { Session } from '../../types/session.js'
import { type MethodDetails, MethodPeer } from '../support/method-peer.js'
import type { ClientConnection } from './client-connection.js'

const SYSTEM = "a server of Go's net/rpc"

export class RemoteService extends MethodPeer {
  constructor(
    bridge: Session,
    private readonly connection: ClientConnection
  ) {
    super(bridge, SYSTEM)
  }

  /** Ends all calls. */
  override end(reason: Reason): void {
    super.end(reason)
    this.connection.close()
  }

  protected async callMethod(method: string, args: readonly unknown[]): Promise<unknown> {
    if (args.length > 1)
      throw new TypeError(
        `${method}: a method of Go's net/rpc has one argument, not ${args.length}; pass an object`
      )
    return this.connection.call(method, args[0])
  }

  protected async listMethods(): Promise<string[]> {
    throw new ExposureError('not-exposed', `${SYSTEM} does not tell its methods`)
  }

  /* c8 ignore next 3: there are no methods to describe. */
  protected async describeMethods(): Promise<MethodDetails[]> {
    return []
  }
}
