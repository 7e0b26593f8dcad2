// The peers are installed by the first `npm run bench`: types and lint do without them.
declare module 'birpc'
declare module 'capnweb'
declare module 'comlink'
declare module 'comlink/dist/esm/node-adapter.mjs'
declare module 'socket.io'
declare module 'socket.io-client'
