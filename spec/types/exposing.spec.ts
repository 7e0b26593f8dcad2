// Claims about the types of the three ways to expose members. See `netref.spec.ts` for how they are checked.
import t from 'tap'
import { z } from 'zod'
import { type Connection, exposed, exposes, type Pair, Service, type Session } from '../../lib/index.js'
import type { Netref, Pending } from '../../lib/types/netref.js'

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
declare const same: <A, B>(equal: Equal<A, B>) => void
/** The remote members of a T. */
type Members<T> = Exclude<keyof Netref<T>, symbol>

let claims = 0
const compiles = (_claim: string, _code: (...given: never[]) => unknown) => claims++

const numbers = z.tuple([z.number(), z.number()])

compiles('exposes: what it takes', () => {
  class Calculator extends Service {
    static {
      exposes(Calculator, {
        add: { schema: numbers, idempotent: true, help: 'Adds', if: session => session.identity === 'ada' },
        total: true,
        name: { if: (session: Session<object, { admin: boolean }>) => session.identity.admin },
        maybe: { schema: z.tuple([z.string()]) },
        filled: { schema: z.tuple([z.string(), z.number().default(3)]) },
        [Symbol.iterator]: true
      })
    }
    total = 0
    maybe?: (text: string) => void
    get name() {
      return 'calculator'
    }
    add(a: number, b: number) {
      return a + b
    }
    filled(_a: string, _b = 1) {}
    *[Symbol.iterator]() {
      yield 1
    }
    override onConnect() {}
    _low() {}
    get [Symbol.toStringTag]() {
      return 'Calculator'
    }
    protected inner() {}
  }
  same<Members<Calculator>, 'add' | 'total' | 'name' | 'maybe' | 'filled'>(true)

  class Scientific extends Calculator {
    static {
      exposes(Scientific, { power: true, add: { schema: numbers } }, Calculator)
    }
    power(a: number, b: number) {
      return a ** b
    }
    override add(a: number, b: number) {
      return a + b
    }
  }
  same<Members<Scientific>, 'add' | 'total' | 'name' | 'maybe' | 'filled' | 'power'>(true)
  abstract class Shape {
    static {
      exposes(Shape, { area: true })
    }
    abstract area(): number
  }
  class Box<T> {
    static {
      exposes(Box, { value: true })
    }
    constructor(readonly value: T) {}
  }
  class Single {
    static readonly one = new Single()
    static {
      exposes(Single, { use: true })
    }
    private constructor() {}
    use() {}
  }
  return [Shape, Box, Single]
})

compiles('exposes: what does not compile', () => {
  class Unlisted {
    static {
      // @ts-expect-error multiply is public and not listed
      exposes(Unlisted, { add: true })
    }
    add() {}
    multiply() {}
  }
  class Iterable {
    static {
      // @ts-expect-error types show that it is iterable
      exposes(Iterable, { add: true })
    }
    add() {}
    *[Symbol.iterator]() {}
  }
  class Unknown {
    static {
      // @ts-expect-error there is no such member
      exposes(Unknown, { add: true, multiply: true })
    }
    add() {}
  }
  class Private {
    static {
      // @ts-expect-error a private member
      exposes(Private, { add: true, secret: true })
    }
    add() {
      this.secret()
    }
    private secret() {}
  }
  class Schemas {
    static {
      // @ts-expect-error the schema has other parameters
      exposes(Schemas, { add: { schema: z.tuple([z.string()]) }, size: true })
      // @ts-expect-error the result is another
      exposes(Schemas, { add: { returns: z.string() }, size: true })
      // @ts-expect-error the result is another
      exposes(Schemas, { add: { schema: numbers, returns: z.string() }, size: true })
      // @ts-expect-error only a method has a result
      exposes(Schemas, { add: true, size: { returns: z.number() } })
      exposes(Schemas, { add: { schema: numbers, returns: z.void() }, size: true })
      // @ts-expect-error only a method has a schema
      exposes(Schemas, { add: true, size: { schema: numbers } })
      // @ts-expect-error only a method is idempotent
      exposes(Schemas, { add: true, size: { idempotent: true } })
      // @ts-expect-error there is no such option
      exposes(Schemas, { add: { iff: () => true }, size: true })
      // @ts-expect-error `true` or options
      exposes(Schemas, { add: false, size: true })
    }
    size = 0
    add(_a: number, _b: number) {}
  }
  class Base {
    static {
      exposes(Base, { old: true })
    }
    old() {}
  }
  class Sub extends Base {
    static {
      // @ts-expect-error without its base class, the members of that would have to be listed
      exposes(Sub, { add: true })
      exposes(Sub, { add: true }, Base)
    }
    add() {}
  }
  return [Unlisted, Iterable, Unknown, Private, Schemas, Sub]
})

compiles('a class exposes its members one way, and types see each way', () => {
  class Prefixed {
    exposed_add() {}
    helper() {}
  }
  same<Members<Prefixed>, 'add'>(true)
  class Both {
    static {
      // @ts-expect-error the prefix is another way
      exposes(Both, { multiply: true })
    }
    exposed_add() {}
    multiply() {}
  }
  class Mixed {
    exposed_add() {}
    // @ts-expect-error the prefix is another way
    @exposed multiply() {}
    // @ts-expect-error the same with options
    @exposed({ help: 'divides' }) divide() {}
    // @ts-expect-error the same with a schema
    @exposed(numbers) power(a: number, b: number) {
      return a ** b
    }
    // @ts-expect-error the same for a getter
    @exposed get size() {
      return 1
    }
    // @ts-expect-error the same for an accessor
    @exposed accessor mode = 'plain'
    // @ts-expect-error the prefix has no options
    @exposed({ idempotent: true }) exposed_put() {}
  }
  class Unnamed extends Prefixed {
    // @ts-expect-error types see the prefix only, unless the class names the member
    @exposed multiply() {}
  }
  class Decorated extends Prefixed {
    declare readonly '~exposes'?: { multiply: true }
    @exposed multiply() {}
    // @ts-expect-error it is not named
    @exposed divide() {}
  }
  same<Members<Decorated>, 'add' | 'multiply'>(true)
  class Listed extends Decorated {
    declare readonly '~exposes'?: { multiply: true; power: true }
    static {
      exposes(Listed, { power: true }, Decorated)
      // @ts-expect-error power is named and not listed
      exposes(Listed, {}, Decorated)
      // @ts-expect-error other is not named
      exposes(Listed, { power: true, other: true }, Decorated)
    }
    power() {}
    other() {}
  }
  same<Members<Listed>, 'add' | 'multiply' | 'power'>(true)
  class NotNamed extends Prefixed {
    static {
      // @ts-expect-error types see the prefix only, unless the class names the member
      exposes(NotNamed, { multiply: true }, Prefixed)
    }
    multiply() {}
  }
  class Helpers {
    declare readonly '~exposes'?: { add: true }
    @exposed add() {}
    helper() {}
  }
  same<Members<Helpers>, 'add'>(true)
  class ListedHelpers {
    declare readonly '~exposes'?: { add: true }
    static {
      exposes(ListedHelpers, { add: true })
    }
    add() {}
    helper() {}
  }
  same<Members<ListedHelpers>, 'add'>(true)
  class Getter {
    @exposed({ idempotent: true }) put() {}
    // @ts-expect-error only a method is idempotent
    @exposed({ idempotent: true }) get size() {
      return 1
    }
  }
  return [Both, Mixed, Unnamed, NotNamed, Getter]
})

compiles('a method that never returns', async (root: Netref<{ fail(): never; later(): Promise<never> }>) => {
  const failing = root.fail()
  same<typeof failing, Pending<never>>(true)
  failing.catch(error => String(error))
  await root.fail().catch(() => {})
  await root.later().finally(() => {})
  const reached: number = await root.fail().then(
    () => 1,
    () => 2
  )
  return reached
})

compiles('a connection is covariant', (conn: Connection<{ add(a: number): number; more(): void }>) => {
  const less: Connection<{ add(a: number): number }> = conn
  const unknown: Connection<unknown> = conn
  // @ts-expect-error not the other way around
  const more: Connection<{ add(a: number): number; more(): void }> = less
  class Calculator {
    exposed_add(a: number) {
      return a
    }
  }
  class Scientific extends Calculator {
    exposed_power() {}
  }
  const base = (pair: Pair<Scientific>): Connection<Calculator> => pair
  const anyone = <T>(generic: Connection<T>): Connection<unknown> => generic
  return [unknown, more, base, anyone]
})

t.ok(claims > 0)
