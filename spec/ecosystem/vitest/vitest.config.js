import { defineConfig } from 'vitest/config'

const project = (name, test) => ({ test: { name, include: ['*.test.js'], ...test } })

export default defineConfig({
  test: {
    projects: [
      project('jsdom', { environment: 'jsdom' }),
      project('vmThreads', { pool: 'vmThreads' }),
      project('vmThreads with jsdom', { pool: 'vmThreads', environment: 'jsdom' })
    ]
  }
})
