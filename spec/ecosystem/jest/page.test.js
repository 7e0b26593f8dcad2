import { expect, test } from '@jest/globals'
import { pageSuite } from './page-suite.js'

pageSuite({ test, expect, url: process.env.LINES_URL })
