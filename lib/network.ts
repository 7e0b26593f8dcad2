// Whose an address is, as far as it tells.
import { isIPv6 } from 'node:net'

/** An IPv4 address, or the /64 of an IPv6 address, all of which is one customer's. A port, brackets and a zone may be there. */
export function networkOf(address: string): string {
  const bare = address.replace(/^\[(.*)\].*$|^([\d.]+):\d+$/, '$1$2').replace(/^::ffff:(?=[\d.]+$)/i, '')
  const ip = bare.replace(/%.*$/, '')
  if (!isIPv6(ip)) return bare
  // As URLs have it there is no IPv4 notation in it.
  const [head = '', tail] = new URL(`http://[${ip}]`).hostname.slice(1, -1).split('::')
  const groups = (part = '') => part.split(':').filter(group => group !== '')
  const zeros = tail === undefined ? 0 : 8 - groups(head).length - groups(tail).length
  const all = [...groups(head), ...Array<string>(zeros).fill('0'), ...groups(tail)]
  return `${all.slice(0, 4).join(':')}::/64`
}
