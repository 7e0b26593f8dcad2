// Adds streams to all sessions of this program, for the entries `netref` and `netref/streams`.
import { registerStreams } from './registry.js'
import { referenceOf, StreamTable } from './streams.js'

registerStreams({
  createTable: (...setup) => new StreamTable(...setup),
  referenceOf
})
