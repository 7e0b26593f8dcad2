// The entry `netref/streams`: adds iterators, streams, promises and abort signals to `netref/lite`.
import './remote/streams/register.js'
