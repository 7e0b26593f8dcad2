import { expect, jest, test } from '@jest/globals'
import { suite } from './suite.js'

suite({
  test,
  expect,
  useFakeTimers: () => jest.useFakeTimers(),
  useRealTimers: () => jest.useRealTimers(),
  reload: () => {
    jest.resetModules()
    return import('./reloaded.js')
  }
})
