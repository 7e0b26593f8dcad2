// Classic mode of RPyC: all of Python from the other side. It is for servers that run whatever they are sent.

import type { Connection, Netref, Pending } from '../../index.js'
import type { Any } from '../../util/any.js'

/** Python, as `classic` gives it. */
export interface Classic {
  /** Modules by name, imported when they are first used: `py.modules.os`, `py.modules['os.path']`. */
  readonly modules: Readonly<Record<string, Any>>
  /** Python's built-in functions and classes: `py.builtins.len`. */
  readonly builtins: Any
  /** The dict of names that `eval` and `execute` know: `await py.namespace.get('x')`. */
  readonly namespace: Any
  /** Evaluates an expression of Python. */
  eval<T = Any>(expression: string): Pending<T>
  /** Runs statements of Python. */
  execute(statements: string): Pending<void>
}

/** The root of a server in classic mode. */
interface SlaveService {
  getmodule(name: string): Any
  eval(expression: string): Any
  execute(statements: string): void
  namespace: Any
}

/**
 * Uses a server in classic mode, such as `rpyc_classic`. Who has such a server, or a netref to a module of it, can do
 * everything that the server's user may. Do not hand either to a page: offer methods that use Python instead.
 *
 * @param connection to a server in classic mode
 * @example
 * await using python = connectRpyc('localhost:18812')
 * const py = classic(python)
 * console.log(await py.modules.os.getcwd(), await py.eval('2 ** 100'))
 */
export function classic(connection: Connection<Any>): Classic {
  const root = connection.root as unknown as Netref<SlaveService>
  const imported = new Map<string, Any>()
  const importModule = (name: string): Any => {
    let module = imported.get(name)
    if (!module) {
      module = root.getmodule(name)
      imported.set(name, module)
      // A later attempt may succeed.
      module.catch(() => imported.delete(name))
    }
    return module
  }
  return {
    modules: new Proxy<Record<string, Any>>(
      {},
      {
        // `then` is read by `await`, symbols by debuggers.
        get: (_, name) => (typeof name === 'string' && name !== 'then' ? importModule(name) : undefined)
      }
    ),
    get builtins() {
      return importModule('builtins')
    },
    get namespace() {
      return root.namespace
    },
    eval: <T>(expression: string) => root.eval(expression) as Pending<T>,
    execute: statements => root.execute(statements)
  }
}
