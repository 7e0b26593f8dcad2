// The types of results by the schemas of their members, as the service describes them.

import type { RemoteHandle } from '../../types/netref.js'
import { describeMethod } from '../support/introspection.js'
import { schemaShape } from './schema-shape.js'
import { type Shape, UNKNOWN } from './shape.js'

/** Maximum number of methods that are remembered. */
const MAX_METHODS = 1000

export class OutputShapes {
  /** By method. A promise is replaced by its value, which needs no waiting. */
  readonly #shapes = new Map<string, Shape | Promise<Shape>>()

  constructor(private readonly root: RemoteHandle<unknown>) {}

  /** What the schema of a method says of its result. Asks the service once for each method. */
  shapeOf(method: string): Shape | Promise<Shape> {
    const known = this.#shapes.get(method)
    if (known) return known
    const asked = this.#ask(method)
    if (this.#shapes.size < MAX_METHODS) {
      this.#shapes.set(method, asked)
      asked.then(
        shape => this.#shapes.set(method, shape),
        () => this.#shapes.delete(method)
      )
    }
    return asked
  }

  async #ask(method: string): Promise<Shape> {
    const { output } = (await describeMethod(this.root, method)) ?? {}
    return output ? schemaShape(output) : UNKNOWN
  }
}
