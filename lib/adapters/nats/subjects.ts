// The subjects of netref on NATS, and the names of which they are made.
import { randomBytes } from 'node:crypto'
import { describeValue } from '../../util/describe.js'

const NAME = /^[\w-]{1,64}$/

/** Whether it is a name of a service, an instance, a queue or a topic. */
export const isName = (value: unknown): value is string => typeof value === 'string' && NAME.test(value)

/** @throws TypeError that names `call` if it is no name */
export function checkName(call: string, name: string): string {
  if (isName(name)) return name
  throw new TypeError(
    `${call}: ${describeValue(name)} is no name; use up to 64 letters, digits, "_" and "-", such as "LineCounter"`
  )
}

/** Reaches one of the instances of a service. */
export const serviceSubject = (name: string): string => `netref.svc.${name}`

/** Reaches one instance. */
export const instanceSubject = (name: string, instance: string): string => `netref.svc.${name}.${instance}`

/** The queue group of the instances of a service: each message to the service goes to one of them. */
export const INSTANCE_QUEUE = 'netref'

/** Where the values of a topic are published. */
export const topicSubject = (name: string): string => `netref.t.${name}`

/** The key-value bucket of the latest value of a topic. */
export const topicBucket = (name: string): string => `netref_t_${name}`

/** The random id of an instance, of 96 bits. */
export const createId = (): string => randomBytes(12).toString('base64url')

/** The random last part of a transport's subject, of 128 bits: who does not know it cannot send to the transport. */
export const createToken = (): string => randomBytes(16).toString('base64url')

/** Words of printable ASCII. Subjects of NATS itself, of queues and of topics do not begin so. */
const INBOX_PREFIX = /(?!\$|netref\b)(?:(?![.*>])[!-~])+(?:\.(?:(?![.*>])[!-~])+)*/.source
const WHOLE_INBOX_PREFIX = new RegExp(`^${INBOX_PREFIX}$`)
const TRANSPORT_SUBJECT = new RegExp(`^${INBOX_PREFIX}\\.netref\\.[\\w-]{16}(?=\\.[\\w-]{22}$)`)
/** Longest prefix, and longest subject of a transport, in characters. */
const MAX_PREFIX_CHARACTERS = 128
const MAX_SUBJECT_CHARACTERS = MAX_PREFIX_CHARACTERS + '.netref.'.length + 16 + 1 + 22

/** @throws TypeError for a prefix of which peers would accept no subject */
export function checkInboxPrefix(prefix: string): string {
  if (prefix.length <= MAX_PREFIX_CHARACTERS && WHOLE_INBOX_PREFIX.test(prefix)) return prefix
  throw new TypeError(
    `nats: ${describeValue(prefix)} is no \`inboxPrefix\`; use up to ${MAX_PREFIX_CHARACTERS} characters, such as "_INBOX_client"`
  )
}

/**
 * The part that all transport subjects of a process have in common; undefined for any other subject. What a peer gives as
 * its subject must be one: otherwise it could make this process publish to any subject.
 */
export const processOf = (subject: string): string | undefined =>
  subject.length <= MAX_SUBJECT_CHARACTERS ? TRANSPORT_SUBJECT.exec(subject)?.[0] : undefined
