// `npm run build:node [-- FOLDER]`: builds the modules that Node loads into dist or FOLDER, which it empties first.
import { rm } from 'node:fs/promises'
import { buildForNode } from './node-build.js'

const folder = process.argv[2] ?? 'dist'
await rm(folder, { recursive: true, force: true })
await buildForNode(folder)
