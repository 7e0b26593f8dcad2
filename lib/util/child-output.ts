// Tells stdout and stderr of child processes from other sockets. Node makes all of them Sockets that can be written, too.
import type { ChildProcess } from 'node:child_process'
import { subscribe } from 'node:diagnostics_channel'

const outputs = new WeakSet<object>()
/** The child process that was made last: it has no streams when its making is told. They keep it alive. */
let latest: WeakRef<ChildProcess> | undefined

function noteLatest(): void {
  const child = latest?.deref()
  for (const stream of [child?.stdout, child?.stderr]) if (stream) outputs.add(stream)
}

subscribe('child_process', message => {
  noteLatest()
  latest = new WeakRef((message as { process: ChildProcess }).process)
})

/** Whether a stream is the stdout or stderr of a child process. */
export function isChildOutput(stream: object): boolean {
  noteLatest()
  return outputs.has(stream)
}
