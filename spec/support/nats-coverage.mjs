// The coverage map of `npm run nats`: its specs are measured by the files of lib/adapters/nats.
import { readdirSync } from 'node:fs'

const files = readdirSync('lib/adapters/nats', { recursive: true })
  .filter(name => name.endsWith('.ts'))
  .map(name => `lib/adapters/nats/${name}`)

export default () => files
