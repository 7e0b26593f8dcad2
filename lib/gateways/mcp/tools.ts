// Finds the tools of a service: methods that were named, and that have a schema.

import type { JsonSchema } from '../../types/json-schema.js'
import type { RemoteHandle } from '../../types/netref.js'
import { quote } from '../../util/describe.js'
import { describeMethods, type MethodDescription } from '../support/introspection.js'
import { type ToolParameters, toolParametersOf } from './parameters.js'
import type { ToolMembers } from './tool-names.js'

/** A method as a tool. */
export interface Tool {
  readonly name: string
  /** Member names, joined by dots. */
  readonly member: string
  readonly description: string | undefined
  readonly parameters: ToolParameters
  /** The JSON Schema of its result. */
  readonly output: JsonSchema | undefined
}

export class ToolBox {
  /** Members that are a tool for some client, and those that were reported. */
  readonly #settled = new Set<string>()

  constructor(private readonly members: ToolMembers) {}

  /**
   * The tools for a client, in the order in which their members were named. A member that the client may not use is left
   * out.
   *
   * @param report is told once of a member that is no tool
   */
  async list(root: RemoteHandle<unknown>, report: Report): Promise<Tool[]> {
    const descriptions = await describeMethods(root, [...this.members.values()])
    return [...this.members].flatMap(
      ([name, member], i) => this.#toolOf(name, member, descriptions[i], report) ?? []
    )
  }

  /** One tool for a client. `report` as in `list`. */
  async find(root: RemoteHandle<unknown>, name: string, report: Report): Promise<Tool | undefined> {
    const member = this.members.get(name)
    if (member === undefined) return undefined
    const [description] = await describeMethods(root, [member])
    return this.#toolOf(name, member, description, report)
  }

  #toolOf(
    name: string,
    member: string,
    found: MethodDescription | undefined,
    report: Report
  ): Tool | undefined {
    const obstacle = obstacleOf(found)
    if (obstacle !== undefined && !this.#settled.has(member))
      report(new Error(`mcp: ${quote(member)} is no tool: ${obstacle}`))
    this.#settled.add(member)
    if (!found || obstacle !== undefined) return undefined
    const { help: description, output } = found
    return { name, member, description, parameters: toolParametersOf(found), output }
  }
}

type Report = (error: Error) => void

/** @returns why a method is no tool */
function obstacleOf(method: MethodDescription | undefined): string | undefined {
  if (!method) return MISSING
  if (!method.input) return NO_SCHEMA
  return mayBeList(method.input) ? undefined : NO_LIST
}

/** Whether the schema accepts a list, or does not say. */
const mayBeList = ({ type }: JsonSchema): boolean => type === undefined || [type].flat().includes('array')

const NO_SCHEMA =
  'it has no schema, or one that is not told as JSON Schema; give it one, as in @exposed({ schema }), with valibot toStandardJsonSchema(schema)'
const NO_LIST = 'a schema is for the list of arguments, as in z.tuple([…]); put it into one'
const MISSING =
  'this client may not use such a method, or there is none; expose it, check the name, or remove it from `tools`'
