// The objects that clients of Pyro call.

/** What a client learns of an object: without it, it calls nothing. */
export interface Metadata {
  readonly methods: readonly string[]
  /** What is read and written, not called. */
  readonly attrs: readonly string[]
  /** Methods that are always called one-way. */
  readonly oneway: readonly string[]
}

/** A call, as a client asks for it. */
export interface MethodCall {
  readonly method: string
  readonly args: readonly unknown[]
  /** The arguments that are passed by name. */
  readonly named: Readonly<Record<string, unknown>>
}

export interface PyroObject {
  metadata(): Promise<Metadata>
  /**
   * Finds out what a call needs.
   *
   * @returns makes the call, before it returns
   * @throws RefusedCallError, ExposureError or PythonRaise if the call cannot be made
   */
  prepare(call: MethodCall): Promise<() => Promise<unknown>>
}

/** The objects that a client can name. */
export interface PyroObjects {
  /** @throws PythonRaise for an object of Pyro's own that is not here, as the name server is not */
  find(id: string): Promise<PyroObject>
  /** The ids of the objects within the root. */
  ids(): Promise<readonly string[]>
}
