import { expect, test, vi } from 'vitest'
import { suite } from './suite.js'

suite({
  test,
  expect,
  useFakeTimers: () =>
    vi.useFakeTimers({
      toFake: ['setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask', 'Date', 'performance']
    }),
  useRealTimers: () => vi.useRealTimers(),
  reload: () => {
    vi.resetModules()
    return import('./reloaded.js')
  }
})
