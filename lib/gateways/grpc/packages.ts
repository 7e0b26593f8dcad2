// Loads the packages of gRPC for Node. They are optional peer dependencies.

import { createRequire } from 'node:module'
import type * as GrpcModule from '@grpc/grpc-js'
import type * as ProtoLoaderModule from '@grpc/proto-loader'
import type * as ReflectionModule from '@grpc/reflection'
import type * as ProtobufModule from 'protobufjs'
import { loadOptionalPackage } from '../../util/optional-package.js'

export type Grpc = typeof GrpcModule
export type Protobuf = Pick<typeof ProtobufModule, 'Root' | 'Service' | 'Enum' | 'MapField'>

const PROTO_LOADER = '@grpc/proto-loader'

/** @throws Error if it is not installed */
export const loadGrpc = (call: string): Grpc => loadOptionalPackage<Grpc>('@grpc/grpc-js', call)

/** @throws Error if it is not installed */
export const loadProtoLoader = (call: string): Pick<typeof ProtoLoaderModule, 'loadSync'> =>
  loadOptionalPackage(PROTO_LOADER, call)

/**
 * Loads the protobufjs of proto-loader, which has the types of messages. The definitions of proto-loader do not.
 *
 * @throws Error if proto-loader is not installed
 */
export function loadProtobuf(call: string): Protobuf {
  // It registers the files of google/protobuf that protobufjs lacks.
  loadProtoLoader(call)
  return createRequire(createRequire(import.meta.url).resolve(PROTO_LOADER))('protobufjs')
}

/** @throws Error if it is not installed */
export const loadReflection = (call: string): Pick<typeof ReflectionModule, 'ReflectionService'> =>
  loadOptionalPackage('@grpc/reflection', call)
