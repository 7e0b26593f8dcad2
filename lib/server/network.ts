// Derives the network of a client from its address.
import { isIPv4, isIPv6 } from 'node:net'

/**
 * An IPv4 address, or the /64 of an IPv6 address, which belongs to one customer. The address may have a port, brackets
 * and a zone. Returns undefined if it is not an address.
 */
export function networkOf(address = ''): string | undefined {
  const ip = address.replace(/^\[(.*)\](:\d+)?$|^([\d.]+):\d+$/, '$1$3').replace(/%.*$/, '')
  if (isIPv4(ip)) return ip
  if (!isIPv6(ip)) return undefined
  // URL normalization removes embedded IPv4 notation.
  const [head = '', tail] = new URL(`http://[${ip}]`).hostname.slice(1, -1).split('::')
  const groups = (part = '') => part.split(':').filter(group => group !== '')
  const zeros = tail === undefined ? 0 : 8 - groups(head).length - groups(tail).length
  const allGroups = [...groups(head), ...Array<string>(zeros).fill('0'), ...groups(tail)]
  return embeddedIPv4(allGroups) ?? `${allGroups.slice(0, 4).join(':')}::/64`
}

/** The IPv4 address inside an IPv4-mapped IPv6 address. */
function embeddedIPv4(groups: readonly string[]): string | undefined {
  if (!/^(0:){5}ffff:/.test(groups.join(':'))) return undefined
  const [high, low] = groups.slice(6).map(group => Number.parseInt(group, 16)) as [number, number]
  return [high >> 8, high & 255, low >> 8, low & 255].join('.')
}
