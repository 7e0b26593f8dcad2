// Names the tools: `ServiceA.Add` is the tool `ServiceA_Add`.

import { describeValue, quote } from '../../util/describe.js'

/**
 * What clients accept. MCP itself allows dots and 128 characters, but the hosts pass the names to language models, whose
 * interfaces do not.
 */
const TOOL_NAME = /^[\w-]{1,64}$/

/** The members that tools stand for, as paths joined by dots, by the names of the tools. */
export type ToolMembers = ReadonlyMap<string, string>

/**
 * Names the tools of members.
 *
 * @param call the function that takes the list, for error texts
 * @throws TypeError for names that no tool can have, or that two members give
 */
export function nameTools(call: string, members: unknown): ToolMembers {
  if (!Array.isArray(members) || members.length === 0)
    throw new TypeError(
      `${call}: \`tools\` takes the names of the methods that become tools, as in { tools: ["sum"] }, not ${Array.isArray(members) ? 'an empty list' : describeValue(members)}`
    )
  const tools = new Map<string, string>()
  for (const member of members as readonly unknown[]) {
    if (typeof member !== 'string' || member.split('.').includes(''))
      throw new TypeError(
        `${call}: ${describeValue(member)} in \`tools\` is not the name of a method; pass one such as "ServiceA.Add"`
      )
    const name = toolNameOf(member)
    if (!TOOL_NAME.test(name))
      throw new TypeError(
        `${call}: ${quote(name)} cannot be the name of a tool: it has up to 64 letters, digits, "_" and "-"; rename the method`
      )
    const other = tools.get(name)
    if (other !== undefined)
      throw new TypeError(
        `${call}: ${quote(other)} and ${quote(member)} in \`tools\` both give the tool ${quote(name)}; remove or rename one`
      )
    tools.set(name, member)
  }
  return tools
}

const toolNameOf = (member: string): string => member.replaceAll('.', '_')
