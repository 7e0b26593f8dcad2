// The coverage map of `npm run gateways`: its specs are measured by the files of lib/gateways.
import { readdirSync } from 'node:fs'

const files = readdirSync('lib/gateways', { recursive: true })
  .filter(name => name.endsWith('.ts'))
  .map(name => `lib/gateways/${name}`)

export default () => files
