// The interface of Standard Schema, as far as netref uses it.

/** What Standard Schema asks of a schema, version 1. */
export interface StandardSchema<Input = unknown, Output = Input> {
  /** What the library offers to others. */
  readonly '~standard': {
    /** Version of the interface. */
    readonly version: 1
    /** Name of the library. */
    readonly vendor: string
    /** Returns the output for a value, or what is wrong with the value. */
    readonly validate: (value: unknown) => StandardResult<Output> | Promise<StandardResult<Output>>
    /** For types only. */
    readonly types?:
      | {
          /** The type that callers send. */
          readonly input: Input
          /** The type that the method receives. */
          readonly output: Output
        }
      | undefined
  }
}

/** The output of a schema, or the issues of the value. */
export type StandardResult<Output> =
  | {
      /** The output. */
      readonly value: Output
      /** No issues. */
      readonly issues?: undefined
    }
  | {
      /** What is wrong with the value. */
      readonly issues: readonly StandardIssue[]
    }

/** One fault of a value. */
export interface StandardIssue {
  /** The fault, in words. */
  readonly message: string
  /** The keys that lead to the fault. */
  readonly path?:
    | readonly (
        | PropertyKey
        | {
            /** The key. */
            readonly key: PropertyKey
          }
      )[]
    | undefined
}
