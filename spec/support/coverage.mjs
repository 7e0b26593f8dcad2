// The coverage map of `npm test`: its specs are measured by all of lib but lib/adapters/nats, which `npm run nats` measures.
import { readdirSync } from 'node:fs'

const files = ['lib', 'spec/support'].flatMap(folder =>
  readdirSync(folder, { recursive: true }).map(name => `${folder}/${name}`)
)
const measured = files.filter(file => file.endsWith('.ts') && !file.startsWith('lib/adapters/nats/'))

export default () => measured
