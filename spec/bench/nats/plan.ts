// What a million sessions need, calculated from the figures of a crowd over NATS. The guide has the formulas (nats-scale.md).
import { markdown } from './calls.js'
import type { Crowd } from './crowd.js'
import type { Figures } from './system.js'

/** What is assumed. */
const SESSIONS = 1_000_000
const CALLS_PER_MINUTE = 6
const SESSIONS_PER_PROCESS = 5000
/** The part of its cores that a process or a server uses: the rest is for peaks, and for the loss of machines. */
const UTILISATION = 0.5
const CORES_OF_SERVER = 8
const LEAST_SERVERS = 3
/** Servers of a cluster that a message passes. */
const SERVERS_PASSED = 2

/** What was counted: messages of a call (with its result, and the acknowledgement of that), and of an idle session. */
const MESSAGES_OF_CALL = 3
const MESSAGES_OF_IDLE_SESSION = 0.18
/** Probes of a process in a second: so many to each other process, and so many in all. */
const PROBES_TO_EACH = 4
const MOST_PROBES = 200

const thousands = (count: number) => Math.round(count).toLocaleString('en').replaceAll(',', ' ')

/** The rows of the result: what is needed, by which formula, and how much. */
export function planTable({ call, idle, memory, heap, base, sessions }: Crowd): string {
  const processes = SESSIONS / SESSIONS_PER_PROCESS
  const calls = (SESSIONS * CALLS_PER_MINUTE) / 60
  const probes = 2 * processes * Math.min(MOST_PROBES, PROBES_TO_EACH * processes)
  const messages = MESSAGES_OF_CALL * calls + MESSAGES_OF_IDLE_SESSION * SESSIONS + probes
  const idleOf = (role: keyof Figures) => (idle[role] / sessions) * SESSIONS
  const cores = (role: keyof Figures) => (calls * call[role] + idleOf(role)) / 1e6
  const natsCores = SERVERS_PASSED * (cores('nats') + (probes * call.nats) / MESSAGES_OF_CALL / 1e6)
  const servers = Math.max(LEAST_SERVERS, Math.ceil(natsCores / UTILISATION / CORES_OF_SERVER))
  const number = (role: 'client' | 'instance') => Math.max(processes, Math.ceil(cores(role) / UTILISATION))
  const gigabytes = (role: 'client' | 'instance') =>
    (number(role) * base[role] + SESSIONS * Math.max(memory[role], heap[role])) / 1e9
  const ofProcesses = (role: 'client' | 'instance') =>
    `${thousands(number(role))} processes, ${cores(role).toFixed(1)} cores busy, ${gigabytes(role).toFixed(0)} GB`
  return markdown(
    [`${thousands(SESSIONS)} sessions`, 'needed'],
    [
      ['calls a second', thousands(calls)],
      [
        'messages a second that NATS receives',
        `${thousands(messages)}, of which probes ${thousands(probes)}`
      ],
      ['processes with the clients', ofProcesses('client')],
      ['instances of the service', ofProcesses('instance')],
      [
        `nats-servers with ${CORES_OF_SERVER} cores`,
        `${servers}, of which ${natsCores.toFixed(1)} cores busy`
      ],
      ['connections to NATS', thousands(number('client') + number('instance'))]
    ]
  )
}
