// Tells stdout and stderr of child processes from other sockets: Node makes writable Sockets of all of them.
import type { ChildProcess } from 'node:child_process'
import { subscribe } from 'node:diagnostics_channel'

const childOutputs = new WeakSet<object>()
/** The latest child process. It has no streams yet when its channel event is published; they keep it alive later. */
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
