// Defines `grpc`, the gateway for clients of gRPC.

import type { Server as GrpcServer } from '@grpc/grpc-js'
import { GATEWAY_OPTIONS, type Gateway, type GatewayOptions } from '../../server/gateway.js'
import { checkOptions, type OptionTypes } from '../../util/check-options.js'
import { CallServer } from './call-server.js'
import { type BuiltInService, serveConnection } from './connection.js'
import { checkSelection, readRpcs, type ServiceSelection } from './definition.js'
import { loadGrpc, loadProtoLoader, loadReflection } from './packages.js'

/** Options of `grpc`. */
export interface GrpcOptions extends ServiceSelection, GatewayOptions {
  /**
   * Whether clients may ask for the services and their messages, as grpcurl does. It needs the package `@grpc/reflection`.
   *
   * @default false
   */
  readonly reflection?: boolean | undefined
}

const GRPC_OPTIONS: OptionTypes<GrpcOptions> = {
  ...GATEWAY_OPTIONS,
  service: '',
  includeDirs: '',
  reflection: 'a boolean'
}

/** The first bytes of a connection of HTTP/2. */
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')

/**
 * Lets clients of gRPC call a service, by the methods that a .proto file names. `rpc sum(Pair)` calls the member `sum` of the
 * service. The fields of the message are the arguments if they have the names of its parameters; otherwise the message is the
 * only argument. Streams are iterators, in arguments and results.
 *
 * @param file path of the .proto file
 * @throws TypeError for invalid options, and for a service that the file does not have
 * @throws Error for a file that cannot be read, and if `@grpc/grpc-js` or `@grpc/proto-loader` is not installed
 * @example
 * const server = await serve(Calculator, {
 *   port: 18861,
 *   gateways: [grpc('calculator.proto', { service: 'example.Calculator' })]
 * })
 */
export function grpc(file: string, options: GrpcOptions): Gateway {
  checkSelection('grpc', options)
  checkOptions('grpc', options, GRPC_OPTIONS)
  const { service, includeDirs, reflection = false, ...gatewayOptions } = options
  const { tls } = gatewayOptions
  const packages = loadGrpc('grpc')
  const calls = new CallServer(readRpcs(file, options, 'grpc'))
  const builtInServices = reflection ? reflectionOf(file, options) : []
  return {
    ...gatewayOptions,
    ...(tls && { tls: { ALPNProtocols: ['h2'], ...tls } }),
    name: 'grpc',
    detect,
    handleConnection: (socket, connection) =>
      serveConnection(packages, socket, connection, calls, builtInServices)
  }
}

function detect(firstBytes: Uint8Array): boolean | undefined {
  const length = Math.min(firstBytes.length, PREFACE.length)
  if (PREFACE.compare(firstBytes, 0, length, 0, length) !== 0) return false
  return length === PREFACE.length || undefined
}

/** The service that tells of the others. */
function reflectionOf(file: string, { service, includeDirs }: ServiceSelection): BuiltInService[] {
  const { ReflectionService } = loadReflection('grpc')
  const definition = loadProtoLoader('grpc').loadSync(file, {
    keepCase: true,
    ...(includeDirs && { includeDirs: [...includeDirs] })
  })
  const services: BuiltInService[] = []
  const collector: Pick<GrpcServer, 'addService'> = {
    addService: (definition, implementation) => void services.push({ definition, implementation })
  }
  new ReflectionService(definition, { services: [service].flat() }).addToServer(collector as GrpcServer)
  return services
}
