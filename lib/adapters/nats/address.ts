// Parses the address of a NATS server. The package of NATS ignores credentials and `tls://` in it.
import type { ConnectionOptions } from '@nats-io/transport-node'
import { redactCredentials } from '../../util/printable.js'

/** @throws TypeError if it is no address of a NATS server */
export function parseAddress(address: string): ConnectionOptions {
  const full = address.includes('://') ? address : `nats://${address}`
  try {
    const { protocol, host, username, password, pathname } = new URL(full)
    if (/^(nats|tls):$/.test(protocol) && host !== '' && pathname.length <= 1)
      return {
        servers: host,
        ...(protocol === 'tls:' && { tls: {} }),
        ...credentials(decodeURIComponent(username), decodeURIComponent(password))
      }
  } catch {
    // It is no URL, or its credentials are not encoded.
  }
  throw new TypeError(
    `nats: "${redactCredentials(full)}" is not an address of NATS; pass one such as "nats://localhost:4222"`
  )
}

/** As NATS has it: a name without a password is a token. */
function credentials(user: string, pass: string): ConnectionOptions {
  if (pass !== '') return { user, pass }
  return user === '' ? {} : { token: user }
}
