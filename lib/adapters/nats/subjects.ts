// The names on the bus, and the subjects of services on NATS.
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

/** Where any instance of a service is dialled. One of those that listen in `INSTANCE_QUEUE` answers. */
export const serviceSubject = (name: string): string => `netref.svc.${name}`

/** Where one instance of a service is dialled. */
export const instanceSubject = (name: string, instance: string): string => `netref.svc.${name}.${instance}`

/** The queue group of the instances of a service. */
export const INSTANCE_QUEUE = 'netref'
