// Classes of pages. One that a context lacks, such as a worklet, fails where it is used.
export const { ReadableStream, TextDecoder, TextEncoder, WritableStream } = globalThis
