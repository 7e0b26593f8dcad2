// `npm run guide:options`: writes the page of the guide that lists all options.
import { writeFileSync } from 'node:fs'
import { optionTables } from './option-tables.js'

writeFileSync('demos/guide/options.md', optionTables())
