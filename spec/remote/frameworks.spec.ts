// Tests netrefs as state of the reactive systems of Vue and Svelte.

import { compileModule } from 'svelte/compiler'
import t from 'tap'
import { computed, isReactive, nextTick, reactive, ref, shallowRef, watch } from 'vue'
import { assertClean, overMemory } from '../support/helpers.js'
import { recordMessages } from '../support/wire.js'

class Counter {
  count = 0
  increment() {
    return ++this.count
  }
}
const service = {
  counter: () => new Counter(),
  add: (a: number, b: number) => a + b
}

t.test('Vue: a netref, a path and a result in `ref`, `reactive` and `watch`', async t => {
  await overMemory(t, service, async conn => {
    const [sent] = recordMessages(conn)
    const root = ref(conn.root)
    const state = reactive({ root: conn.root, add: conn.root.add, list: [conn.root] })
    t.equal(root.value, conn.root, 'it is kept as it is')
    t.equal(state.list[0], conn.root)
    t.notOk(isReactive(state.root))
    const seen: unknown[] = []
    const stop = watch(root, value => seen.push(value), { deep: true })
    const name = computed(() => String(root.value))
    t.equal(name.value, String(conn.root))
    t.same(sent, [], 'nothing is sent')

    t.equal(await root.value.add(1, 2), 3)
    t.equal(await state.add(3, 4), 7)
    const counter = await conn.root.counter()
    const shallow = shallowRef(counter)
    root.value = counter as never
    await nextTick()
    t.same(seen, [counter])
    t.equal(shallow.value, counter)
    stop()
    await assertClean(t)
  })
})

t.test('names that start with `__v_` are never members', async t => {
  await overMemory(t, { __v_raw: () => 1 }, async ({ root }) => {
    const { __v_raw, __v_isRef } = root as unknown as Record<string, unknown>
    t.same([__v_raw, __v_isRef], [undefined, undefined])
  })
})

t.test('Svelte: a netref in `$state`', async t => {
  const source = `
    export function hold(value) {
      let held = $state(value)
      const record = $state({ value })
      const label = $derived(String(held))
      return { get held() { return held }, set held(next) { held = next }, record, get label() { return label } }
    }
  `
  const { js } = compileModule(source, { filename: 'hold.svelte.js', generate: 'client' })
  const dir = t.testdir({ 'hold.js': js.code })
  const { hold } = await import(`${dir}/hold.js`)
  await overMemory(t, service, async conn => {
    const [sent] = recordMessages(conn)
    const state = hold(conn.root)
    t.equal(state.held, conn.root)
    t.equal(state.record.value, conn.root)
    t.equal(state.label, String(conn.root))
    t.same(sent, [])
    t.equal(await state.held.add(1, 2), 3)
    state.held = conn.root.add
    t.equal(await state.held(2, 3), 5)
  })
})
