import { expect, inject, test } from 'vitest'
import { pageSuite } from './page-suite.js'

pageSuite({ test, expect, url: inject('url') })
