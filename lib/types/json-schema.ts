// JSON Schema, as descriptions of members have it.

/** A JSON Schema of draft 2020-12, as plain data. One that comes from a peer is not validated: check what you read. */
export interface JsonSchema {
  /** A keyword, such as `type` or `properties`. */
  readonly [keyword: string]: unknown
}
