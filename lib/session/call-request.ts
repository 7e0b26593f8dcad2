// One operation of the peer, decoded from its message.

import { decodeWithAnswers, IncompleteValue, isReferenceTag } from '../codec/decode.js'
import { ANSWER_TAG } from '../codec/types.js'
import { ProtocolError } from '../errors.js'
import {
  type IdempotentOperation,
  Op,
  type Operation,
  type OperationCode,
  type RetriedOperation,
  type TracedOperation
} from '../protocol/messages.js'
import { type MemberKey, pathKeys } from '../protocol/path.js'
import type { ReceivedReferences } from '../remote/received-references.js'
import type { References } from '../remote/references.js'

/** What the wrappers of an operation say about it. */
export interface CallModifiers {
  /** Whether the operation may have run before, in a session that was lost. */
  readonly retry: boolean
  readonly idempotencyKey?: string
  /** The caller's span, as a W3C `traceparent`. */
  readonly traceparent?: string
}

const NO_MODIFIERS: CallModifiers = { retry: false }

export interface CallRequest extends CallModifiers {
  /** Number of the call; below 0 for a one-way call. */
  readonly id: number
  readonly op: OperationCode
  /** What the path starts from: the root, an exported object, or the answer of an earlier call of the peer. */
  readonly target: 'root' | 'export' | 'answer'
  /** Number of the export, or of the earlier call. */
  readonly targetId: number
  readonly path: readonly MemberKey[]
  /** The list of arguments, or the value of `set`. */
  readonly operand: unknown
  /** The operand, if it names answers of this side; `operand` is then undefined. */
  readonly incomplete: IncompleteValue | undefined
  /** Why the operand cannot be decoded. */
  readonly decodeError: unknown
  /** The references in the operand. */
  readonly received: ReceivedReferences | undefined
  /** JSON that is equal for equal operations; only with a key. */
  readonly operationJson: string | undefined
  /** Whether the operand has neither references, names of answers nor bytes; only with a key. */
  readonly isDataOnly: boolean
}

/** Takes the wrappers off an operation. */
export function unwrapOperation(
  message: Operation | IdempotentOperation | RetriedOperation | TracedOperation
): readonly [operation: Operation, modifiers: CallModifiers] {
  switch (message[0]) {
    case Op.traced: {
      const [, traceparent, ...operation] = message
      return [operation, { retry: false, traceparent }]
    }
    case Op.retry:
      return [message.slice(1) as unknown as Operation, { retry: true }]
    case Op.idempotent: {
      const [, idempotencyKey, ...inner] = message
      const [operation, modifiers] = unwrapOperation(inner)
      return [operation, { ...modifiers, idempotencyKey }]
    }
    default:
      return [message, NO_MODIFIERS]
  }
}

/** @throws ProtocolError for a message that is not of the protocol; other errors of decoding are `decodeError` */
export function decodeRequest(
  id: number,
  message: Operation,
  bytes: readonly Uint8Array[],
  references: References,
  { retry, idempotencyKey, traceparent }: CallModifiers = NO_MODIFIERS
): CallRequest {
  const [op, , target, path] = message
  const [json, annotations] = [message[4], message[5]]
  const hasKey = idempotencyKey !== undefined
  // Before decoding, which changes the JSON in place.
  const operationJson = hasKey ? JSON.stringify([op, json, annotations]) : undefined
  let operand: unknown
  let decodeError: unknown
  try {
    operand = decodeWithAnswers(json, annotations, bytes, references)
  } catch (error) {
    if (error instanceof ProtocolError) throw error
    decodeError = error
  }
  const incomplete = annotations && operand instanceof IncompleteValue ? operand : undefined
  return {
    id,
    op,
    target: target < 0 ? 'answer' : target === 0 ? 'root' : 'export',
    targetId: Math.abs(target),
    path: pathKeys(path),
    operand: incomplete ? undefined : operand,
    incomplete,
    decodeError,
    received: references.takeReceived(),
    retry,
    idempotencyKey,
    traceparent,
    operationJson,
    isDataOnly:
      hasKey && bytes.length === 0 && !annotations?.some(([tag]) => isReferenceTag(tag) || tag === ANSWER_TAG)
  }
}
