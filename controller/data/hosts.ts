/** Which hosts may be connected to: public ones, and the private networks that cratewright.yaml lists. */

import type { LookupAddress } from 'node:dns'
import { lookup as lookupAll } from 'node:dns/promises'
import { BlockList, isIP } from 'node:net'
import { CratewrightError } from '../runtime/errors.ts'

/**
 * Not for everyone: IANA's special-purpose registries (RFC 6890), with the metadata services of clouds (169.254.169.254,
 * 100.100.100.200, fd00:ec2::254), and the IPv6 forms that carry an IPv4 address (RFC 6052, RFC 3056).
 */
const specialNetworks = [
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12', '192.0.0.0/24'],
  ...['192.168.0.0/16', '198.18.0.0/15', '224.0.0.0/4', '240.0.0.0/4'],
  ...[
    '::/128',
    '::1/128',
    '64:ff9b::/96',
    '64:ff9b:1::/48',
    '2002::/16',
    'fc00::/7',
    'fe80::/10',
    'fec0::/10',
    'ff00::/8',
  ],
]
const special = networks(specialNetworks)

export interface HostCheck {
  /** In CIDR form. */
  readonly privateNetworks: readonly string[]
  /** Default: the resolver of the machine. */
  readonly lookup?: (host: string) => Promise<readonly LookupAddress[]>
}

/**
 * The addresses of a host, each of which may be connected to. Whoever connects goes to one of these and does not ask for the
 * name again: the answer may be another one then.
 * @throws CratewrightError HostNotAllowed; SourceUnreachable where the name is not known; ConfigInvalid
 */
export async function checkHost(
  host: string,
  { privateNetworks, lookup = name => lookupAll(name, { all: true }) }: HostCheck,
): Promise<string[]> {
  const allowed = networks(privateNetworks)
  // A path would be taken for a Unix socket.
  if (host === '' || /[\s/\\\0]/.test(host))
    throw new CratewrightError('HostNotAllowed', `no host name: ${JSON.stringify(host)}`)
  const found = await lookup(host).catch((error: NodeJS.ErrnoException) => {
    throw new CratewrightError('SourceUnreachable', `the name ${host} cannot be resolved: ${error.code}`)
  })
  for (const { address, family } of found) {
    const kind = family === 6 ? 'ipv6' : 'ipv4'
    const plain = address.replace(/%.*$/, '')
    if (special.check(plain, kind) && !allowed.check(plain, kind)) {
      throw new CratewrightError('HostNotAllowed', `${host} resolves to ${address}, in a network that is not listed`)
    }
  }
  return found.map(({ address }) => address)
}

/** BlockList looks at ::ffff:0:0/96 as the IPv4 address it carries. */
function networks(list: readonly string[]): BlockList {
  const blocks = new BlockList()
  for (const network of list) {
    const [address = '', prefix = ''] = network.split('/')
    const version = isIP(address)
    if (version === 0 || !/^\d{1,3}$/.test(prefix) || Number(prefix) > (version === 6 ? 128 : 32)) {
      throw new CratewrightError('ConfigInvalid', `no network in CIDR form: ${JSON.stringify(network)}`)
    }
    blocks.addSubnet(address, Number(prefix), version === 6 ? 'ipv6' : 'ipv4')
  }
  return blocks
}
