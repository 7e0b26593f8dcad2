// Names in TypeScript for what a peer names: types, properties and parameters. No name of a peer can be anything but a name.

/** Longest name of a type. */
const MAX_TYPE_NAME_CHARACTERS = 60

const PROPERTY = /^[A-Za-z_$][\w$]*$/
/** These would be a construct signature. */
const QUOTED_PROPERTIES = new Set(['new', 'constructor'])
/** Latin letters only: the compiler and Node need not know the same versions of Unicode. */
const PARAMETER = /^[A-Za-z_$À-ÖØ-öø-ɏ][\w$À-ÖØ-öø-ɏ]*$/
const RESERVED = new Set(
  [
    'arguments await break case catch class const continue debugger default delete do else enum eval export extends false',
    'finally for function if implements import in instanceof interface let new null package private protected public return',
    'static super switch this throw true try typeof var void while with yield'
  ].flatMap(words => words.split(' '))
)

/** The name of a property, in quotes where it needs them. */
export const propertyName = (name: string): string =>
  PROPERTY.test(name) && !QUOTED_PROPERTIES.has(name) ? name : JSON.stringify(name)

/** Names for the parameters of a function; those that TypeScript does not have become `arg0`, `arg1`, … */
export function parameterNames(names: readonly string[]): string[] {
  const unique = new UniqueNames()
  return names.map((name, i) => unique.claim(PARAMETER.test(name) && !RESERVED.has(name) ? name : `arg${i}`))
}

/** Gives each name once. */
export class UniqueNames {
  /** How often a name was asked for. */
  readonly #claims = new Map<string, number>()

  /** The name, with a number behind it if it is taken. */
  claim(wanted: string): string {
    let name = wanted
    while (this.#claims.has(name)) {
      const count = this.#claims.get(wanted)! + 1
      this.#claims.set(wanted, count)
      name = `${wanted}_${count}`
    }
    this.#claims.set(name, 1)
    return name
  }

  /** A name for a type: `TreeNode` for `tree-node`. */
  claimType(words: string): string {
    const name = words
      .split(/[^A-Za-z0-9$]+/)
      .map(word => word.slice(0, 1).toUpperCase() + word.slice(1))
      .join('')
      .slice(0, MAX_TYPE_NAME_CHARACTERS)
    return this.claim(/^[A-Z]/.test(name) ? name : `Type${name}`)
  }
}
