// `Pyro.Daemon`: the object of each server of Pyro that describes the others, and reads item streams.

import { noSuchMethod } from '../support/methods.js'
import { orderArguments } from '../support/named-arguments.js'
import type { ItemStreams } from './item-streams.js'
import type { Metadata, MethodCall, PyroObject, PyroObjects } from './pyro-object.js'

/** The id of the object. */
export const DAEMON_ID = 'Pyro.Daemon'

/** Its methods, and the names of their parameters as in a `Description`. */
const PARAMETERS: ReadonlyMap<string, readonly string[]> = new Map([
  ['registered', []],
  ['ping', []],
  ['info', []],
  ['get_metadata', ['objectId', 'as_lists?']],
  ['get_next_stream_item', ['streamId']],
  ['close_stream', ['streamId']]
])

export class DaemonObject implements PyroObject {
  constructor(
    private readonly objects: PyroObjects,
    private readonly streams: ItemStreams
  ) {}

  async metadata(): Promise<Metadata> {
    return { methods: [...PARAMETERS.keys()], attrs: [], oneway: [] }
  }

  async prepare({ method, args, named }: MethodCall): Promise<() => Promise<unknown>> {
    const parameters = PARAMETERS.get(method)
    if (!parameters) throw noSuchMethod(method)
    const [id] = [...args, ...orderArguments(method, parameters, named, args.length)]
    return () => this.#call(method, String(id))
  }

  async #call(method: string, id: string): Promise<unknown> {
    switch (method) {
      case 'registered':
        return [DAEMON_ID, ...(await this.objects.ids())]
      case 'info':
        return `${DAEMON_ID} of netref`
      case 'get_metadata':
        return (await this.objects.find(id)).metadata()
      case 'get_next_stream_item':
        return this.streams.next(id)
      case 'close_stream':
        return this.streams.close(id)
      default:
        return undefined // ping
    }
  }
}
