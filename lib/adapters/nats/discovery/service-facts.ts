// What an instance of a service tells of itself: version, description and metadata, as ADR-32 of NATS has them.
import { describeValue, quote } from '../../../util/describe.js'

/** What an instance of a service tells of itself. */
export interface ServiceFacts {
  /** Version of the service, as SemVer has it. @default '0.0.0' */
  readonly version?: string | undefined
  /** What the service does, in a few words. */
  readonly description?: string | undefined
  /** Facts to choose an instance by, such as its zone: strings by name. @default {} */
  readonly metadata?: Readonly<Record<string, string>> | undefined
}

/** The version of a service that states none. */
export const DEFAULT_VERSION = '0.0.0'

/** Longest description and metadata, as JSON, in characters. */
const MAX_FACTS_CHARACTERS = 8192

/** Longest version, in characters. */
const MAX_VERSION_CHARACTERS = 128

/** As semver.org has it. */
const SEMVER =
  /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-(0|[1-9]\d*|\d*[a-z-][\da-z-]*)(\.(0|[1-9]\d*|\d*[a-z-][\da-z-]*))*)?(\+[\da-z-]+(\.[\da-z-]+)*)?$/i

export const isVersion = (value: unknown): value is string =>
  typeof value === 'string' && value.length <= MAX_VERSION_CHARACTERS && SEMVER.test(value)

export const isMetadata = (value: unknown): value is Record<string, string> =>
  typeof value === 'object' &&
  value !== null &&
  !Array.isArray(value) &&
  Object.values(value).every(text => typeof text === 'string')

/**
 * Checks what a user's service tells of itself.
 *
 * @param call the function that takes the facts, for error texts
 * @throws TypeError for a version that is not SemVer, metadata that are no strings, or too much of them
 */
export function checkServiceFacts(call: string, { version, description, metadata }: ServiceFacts): void {
  if (version !== undefined && !isVersion(version))
    throw new TypeError(
      `${call}: \`version\` takes a version as of semver.org, such as "1.2.0", not ${describeValue(version)}`
    )
  if (description !== undefined && typeof description !== 'string')
    throw new TypeError(`${call}: \`description\` takes a string, not ${describeValue(description)}`)
  if (metadata !== undefined && !isMetadata(metadata))
    throw new TypeError(`${call}: \`metadata\` takes strings by name, not ${describeMetadata(metadata)}`)
  const characters = JSON.stringify({ description, metadata }).length
  if (characters > MAX_FACTS_CHARACTERS)
    throw new TypeError(
      `${call}: \`description\` and \`metadata\` are ${characters} characters of JSON; use up to ${MAX_FACTS_CHARACTERS}`
    )
}

/** The first entry that is not a string, or the value that has no entries. */
function describeMetadata(metadata: object): string {
  const [name, value] = Object.entries(Object(metadata)).find(([, value]) => typeof value !== 'string') ?? []
  return name === undefined ? describeValue(metadata) : `${describeValue(value)} at ${quote(name)}`
}
