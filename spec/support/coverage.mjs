// The coverage map of `npm test`: its specs are measured by all of lib but what `npm run gateways` and `npm run nats` measure.
import { readdirSync } from 'node:fs'

const OTHERS = ['lib/gateways/', 'lib/adapters/nats/']
const files = ['lib', 'spec/support'].flatMap(folder =>
  readdirSync(folder, { recursive: true }).map(name => `${folder}/${name}`)
)
const measured = files.filter(file => file.endsWith('.ts') && !OTHERS.some(folder => file.startsWith(folder)))

export default () => measured
