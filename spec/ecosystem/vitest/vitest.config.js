import { defineConfig } from 'vitest/config'

/** Vitest leaves netref to Node, which loads the build for Node in each environment. */
const project = (name, test) => ({ test: { name, include: ['netref.test.js'], ...test } })

/** Vitest loads the build for pages, which uses the WebSocket of the environment. */
const page = (name, test) => ({
  resolve: { conditions: ['browser'] },
  test: {
    name,
    include: ['page.test.js'],
    globalSetup: ['./set-up.js'],
    server: { deps: { inline: ['netref'] } },
    ...test
  }
})

export default defineConfig({
  test: {
    projects: [
      project('node', { environment: 'node' }),
      project('jsdom', { environment: 'jsdom' }),
      project('happy-dom', { environment: 'happy-dom' }),
      project('vmThreads', { pool: 'vmThreads' }),
      project('vmThreads with jsdom', { pool: 'vmThreads', environment: 'jsdom' }),
      page('page in jsdom', { environment: 'jsdom' }),
      page('page in happy-dom', { environment: 'happy-dom' })
    ]
  }
})
