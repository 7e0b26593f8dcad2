// Finds the objects that the clients of a connection name by their ids.

import { Netref } from '../../index.js'
import type { RemoteHandle } from '../../types/netref.js'
import { describeIfExposed, listMethods } from '../support/introspection.js'
import { DAEMON_ID, DaemonObject } from './daemon-object.js'
import type { ItemStreams } from './item-streams.js'
import type { PyroObject, PyroObjects } from './pyro-object.js'
import { PythonRaise } from './python-exception.js'
import { ServiceObject } from './service-object.js'

/** The ids of Pyro's own objects begin so. */
const RESERVED_PREFIX = 'Pyro.'
/** Number of ids whose objects are remembered. */
const MAX_REMEMBERED = 16
/** Maximum length of a remembered id. */
const MAX_REMEMBERED_CHARACTERS = 1024

/**
 * The objects of a service. An id that is the path of an exposed object is that object: `store` is `root.store`. Any other
 * id is the root, since servers of Pyro choose names for their objects, and the root has none.
 */
export class ObjectDirectory implements PyroObjects {
  readonly #daemon: PyroObject
  readonly #found = new Map<string, Promise<PyroObject>>()

  constructor(
    private readonly root: RemoteHandle<unknown>,
    private readonly maxNames: number,
    streams: ItemStreams
  ) {
    this.#daemon = new DaemonObject(this, streams)
  }

  async find(id: string): Promise<PyroObject> {
    if (id === DAEMON_ID) return this.#daemon
    if (id.startsWith(RESERVED_PREFIX)) throw new PythonRaise('errors', 'DaemonError', ['unknown object'])
    if (id.length > MAX_REMEMBERED_CHARACTERS) return this.#locate(id)
    let found = this.#found.get(id)
    if (!found) {
      if (this.#found.size >= MAX_REMEMBERED) this.#found.clear()
      found = this.#locate(id)
      this.#found.set(id, found)
    }
    return found
  }

  async ids(): Promise<string[]> {
    const objects = (await listMethods(this.root)).map(({ name }) => name.split('.').slice(0, -1).join('.'))
    return [...new Set(objects)].filter(Boolean)
  }

  async #locate(id: string): Promise<PyroObject> {
    const names = id.split('.', this.maxNames)
    let object = this.root
    for (const name of names) {
      const members = await describeIfExposed(object, false)
      if (!members.some(member => member.name === name && member.kind === 'object'))
        return new ServiceObject(this.root, this.maxNames)
      object = Netref.get(object, name as never)
    }
    return new ServiceObject(object, this.maxNames)
  }
}
