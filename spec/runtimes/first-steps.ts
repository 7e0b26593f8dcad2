// The first steps of README, from an empty folder to the first call: its commands, and its programs in JavaScript and TypeScript.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** A file that README shows: the block that begins with its name. */
const fileOf = (readme: string, name: string) =>
  new RegExp(`^\`\`\`[jt]s\\n// ${name}\\n(.*?)^\`\`\`$`, 'ms').exec(readme)![1]!

/**
 * Follows README in a new folder.
 *
 * @param tarball the packed package
 * @param node the program that runs the files of that extension
 * @throws Error if a command fails, or if the client prints something else
 */
export async function followFirstSteps(
  tarball: string,
  node: string,
  extension: 'js' | 'ts',
  expected: string
): Promise<void> {
  const readme = await readFile(fileURLToPath(new URL('../../README.md', import.meta.url)), 'utf8')
  const commands = /^### From an empty folder.*?^```sh\n(.*?)^```$/ms.exec(readme)![1]!.trim().split('\n')
  const [create, install] = commands
  if (commands.length !== 4 || !install!.includes(basename(tarball)))
    throw new Error(`README has other first steps: ${commands.join('; ')}`)
  const dir = await mkdtemp(join(tarball, '../first-steps-'))
  const inDir = { cwd: dir, timeout: 60_000 }
  try {
    await copyFile(tarball, join(dir, basename(tarball)))
    await run('sh', ['-c', create!], inDir)
    await run('sh', ['-c', `${install} --prefer-offline --no-audit --no-fund`], inDir)
    // Another program may have the port of README.
    await writeFile(
      join(dir, `server.${extension}`),
      fileOf(readme, `server.${extension}`).replace('18861', '0')
    )
    const serving = spawn(node, [`server.${extension}`], { cwd: dir, stdio: ['ignore', 'pipe', 'inherit'] })
    try {
      const [line] = await once(serving.stdout.setEncoding('utf8'), 'data')
      const url = /listening at (\S+)/.exec(String(line))![1]!
      const client = fileOf(readme, `client.${extension}`).replace('ws://localhost:18861', url)
      await writeFile(join(dir, `client.${extension}`), client)
      const { stdout } = await run(node, [`client.${extension}`], inDir)
      if (stdout !== expected) throw new Error(`client.${extension} printed ${JSON.stringify(stdout)}`)
    } finally {
      serving.kill()
    }
  } finally {
    await rm(dir, { recursive: true })
  }
}
