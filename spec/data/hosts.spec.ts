import assert from 'node:assert/strict'
import { checkHost } from '../../controller/data/hosts.ts'

const none = { privateNetworks: [] }

describe('the check of a host', () => {
  it('lets public addresses pass', async () => {
    assert.deepEqual(await checkHost('93.184.216.34', none), ['93.184.216.34'])
    assert.deepEqual(await checkHost('2606:2800:220:1:248:1893:25c8:1946', none), [
      '2606:2800:220:1:248:1893:25c8:1946',
    ])
  })

  it('refuses what is not public, in every spelling', async () => {
    const four = [
      '127.0.0.1',
      '10.1.2.3',
      '172.16.0.1',
      '172.31.255.255',
      '192.168.1.1',
      '169.254.169.254',
      '100.100.100.200',
      '0.0.0.0',
    ]
    const six = [
      '::1',
      '::',
      'fe80::1',
      'fc00::1',
      'fd00:ec2::254',
      '::ffff:10.0.0.1',
      '::ffff:a9fe:a9fe',
      '64:ff9b::a00:1',
      '2002:a00:1::1',
    ]
    for (const host of [...four, ...six, 'localhost', '2130706433', '0x7f.1', '127.1']) {
      await assert.rejects(checkHost(host, none), { code: 'HostNotAllowed' }, host)
    }
  })

  it('lets a private address pass that lies in a listed network, and only that', async () => {
    const privateNetworks = ['10.1.0.0/16', 'fd00::/8', '127.0.0.1/32']
    for (const host of ['10.1.2.3', '::ffff:10.1.2.3', 'fd00::5', '127.0.0.1'])
      await checkHost(host, { privateNetworks })
    for (const host of ['10.2.0.1', '127.0.0.2', 'fc00::5', '192.168.0.1']) {
      await assert.rejects(checkHost(host, { privateNetworks }), { code: 'HostNotAllowed' }, host)
    }
  })

  it('refuses paths of sockets and what is no name', async () => {
    for (const host of ['', '/var/run/postgresql', 'a b', 'a\0b', '..\\x']) {
      await assert.rejects(checkHost(host, none), { code: 'HostNotAllowed' }, host)
    }
  })

  it('gives back every address that it looked at, and refuses the host where one of them is not public', async () => {
    const names: Record<string, string[]> = {
      'warehouse.example': ['93.184.216.34', '2606:2800:220:1:248:1893:25c8:1946'],
      'mixed.example': ['93.184.216.34', '169.254.169.254'],
    }
    const lookup = async (host: string) =>
      (names[host] ?? []).map(address => ({ address, family: address.includes(':') ? 6 : 4 }))
    assert.deepEqual(await checkHost('warehouse.example', { ...none, lookup }), names['warehouse.example'])
    await assert.rejects(checkHost('mixed.example', { ...none, lookup }), { code: 'HostNotAllowed' })
  })

  it('says when a name is not known, and when a network is none', async () => {
    await assert.rejects(checkHost('no-such-host.invalid', none), { code: 'SourceUnreachable' })
    for (const network of ['10.0.0.0', '10.0.0.0/33', 'x/8', '::/129', '10.0.0.0/-1']) {
      await assert.rejects(
        checkHost('93.184.216.34', { privateNetworks: [network] }),
        { code: 'ConfigInvalid' },
        network,
      )
    }
  })
})
