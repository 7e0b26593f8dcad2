// Reads addresses of the form `host:port`.

/** A host, and a port if the address has one. */
export interface HostPort {
  readonly host: string
  readonly port: number | undefined
}

/** @returns undefined for a text that is no address. An IPv6 address is in brackets: `[::1]:8080` */
export function parseHostPort(text: string): HostPort | undefined {
  const match = /^(?:\[([\da-f:.]+)\]|([^\s/?#@:[\]]+))(?::(\d{1,5}))?$/i.exec(text)
  if (!match) return undefined
  const [, ipv6, name, port] = match
  return { host: (ipv6 ?? name)!, port: port === undefined ? undefined : Number(port) }
}

/** Whether a number can be a port to connect to. */
export const isPort = (port: unknown): port is number =>
  typeof port === 'number' && Number.isInteger(port) && port > 0 && port < 1 << 16
