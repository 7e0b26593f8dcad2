// The error for bytes that are not gob.

/** Received bytes are not a gob stream, or break its rules. What follows them cannot be read. */
export class GobError extends Error {
  override name = 'GobError'
}
