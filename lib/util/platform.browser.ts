// Classes of a page. What a context lacks, as a worklet does, is missed where it is used.
export const { ReadableStream, TextDecoder, TextEncoder, WritableStream } = globalThis
