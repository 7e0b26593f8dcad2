// Tells stdout and stderr of child processes from other sockets. Node makes all of them Sockets that can be written, too.
import type { ChildProcess } from 'node:child_process'
import { subscribe } from 'node:diagnostics_channel'

const childOutputs = new WeakSet<object>()
/** The child process that was made last: it has no streams when its making is told. They keep it alive. */
let latestChild: WeakRef<ChildProcess> | undefined

function registerLatestStreams(): void {
  const child = latestChild?.deref()
  for (const stream of [child?.stdout, child?.stderr]) if (stream) childOutputs.add(stream)
}

subscribe('child_process', message => {
  registerLatestStreams()
  latestChild = new WeakRef((message as { process: ChildProcess }).process)
})

/** Whether a stream is the stdout or stderr of a child process. */
export function isChildOutput(stream: object): boolean {
  registerLatestStreams()
  return childOutputs.has(stream)
}
