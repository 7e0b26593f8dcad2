// The entry `netref/react`: hooks for a connection, its state, and the results of calls.
'use client'

export { useConnection, useConnectionState } from './react/connection.js'
export { useRemote } from './react/remote.js'
