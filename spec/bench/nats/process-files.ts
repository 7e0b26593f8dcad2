// CPU time and memory of the nats-server, from the files of Linux.
import { readFileSync } from 'node:fs'

/** The unit of CPU times in /proc, in µs: Linux shows them in hundredths of a second. */
const TICK_US = 10_000

/** CPU time of a process so far, in µs. */
export function cpuMicroseconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  // The name of the program, in parentheses, precedes the numbers. The times are the fields 14 and 15.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * TICK_US
}

/** Resident memory of a process without mapped files, in bytes. */
export function residentBytes(pid: number): number {
  const [, kilobytes] = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))!
  return Number(kilobytes) * 1024
}
