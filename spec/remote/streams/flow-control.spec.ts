import t from 'tap'
import { DEFAULT_WINDOW_ITEMS, FlowControlWindow } from '../../../lib/remote/streams/flow-control.js'

t.test('a producer may run ahead by the window, and continues as the reader acknowledges', async t => {
  const window = new FlowControlWindow()
  t.notOk(window.recordSent(1, 1), 'no acknowledgement is due before half of the window')
  t.ok(window.recordSent(DEFAULT_WINDOW_ITEMS - 1, 1))
  t.notOk(window.hasRoom(0, 0))
  window.acknowledge(1)
  t.notOk(window.hasRoom(0, 0), 'less than what is due acknowledges nothing')
  window.acknowledge(DEFAULT_WINDOW_ITEMS)
  t.ok(window.hasRoom(0, 0))
})

t.test('an acknowledgement covers the checkpoints up to it, and no later one', async t => {
  const window = new FlowControlWindow()
  for (let i = 0; i < 3; i++) t.ok(window.recordSent(DEFAULT_WINDOW_ITEMS / 2, 1))
  window.acknowledge(DEFAULT_WINDOW_ITEMS)
  t.ok(window.hasRoom(DEFAULT_WINDOW_ITEMS / 2 - 1, 0))
  t.notOk(window.hasRoom(DEFAULT_WINDOW_ITEMS / 2, 0))
})
