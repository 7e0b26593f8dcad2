// Hooks that decide: they answer at once. A promise would be a yes, whatever comes of it.
import { isThenable, silence } from './values.js'

/**
 * What the hook of that name has answered, about a call if it was one.
 *
 * @throws TypeError for a promise, and for what passes for one
 */
export function decided(hook: string, answer: unknown, call?: object): unknown {
  if (!isThenable(answer)) return answer
  silence(answer)
  throw new TypeError(`${call ? `${call}: ` : ''}${hook} answered with a promise, and has to decide at once`)
}
