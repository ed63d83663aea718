import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { makeAuthority } from '../support/authority.ts'
import { startGitServer } from '../support/git-server.ts'
import { startSshServer, whyNoSshd } from '../support/ssh-server.ts'
import { World, type WorldOptions } from '../support/world.ts'

/** The small world's platform with further fields of the Repository. */
function withRepository(fields: object): NonNullable<WorldOptions['manifests']> {
  return world => {
    const [repository] = world.platform()['repositories.yaml'] as [{ spec: object }]
    return { 'repositories.yaml': [{ ...repository, spec: { ...repository.spec, ...fields } }] }
  }
}

/** By the command, which ends when the last status is written, however long a connection takes. */
async function assertWalks(world: World): Promise<void> {
  await world.ask('asthma')
  await world.cratewright('reconcile')
  const signed = await world.signOff('dana', 'asthma')
  assert.equal(signed.code, 0, signed.err)
  await world.cratewright('reconcile')
  const disclosed = await world.disclose('dana', 'asthma')
  assert.equal(disclosed.code, 0, disclosed.err)
  await world.cratewright('reconcile')
  assert.deepEqual((await world.steps('asthma')).slice(-2), ['publish started', 'publish done'])
  assert.ok(readdirSync(world.release('asthma')).includes('bagit.txt'))
  const verified = await world.cratewright('verify', await world.auditor())
  assert.equal(verified.code, 0, `${verified.out}${verified.err}`)
}

describe('a whole life of a request', () => {
  it('over SSH, with pinned host keys and a key from the secrets folder', async function () {
    const why = whyNoSshd()
    if (why !== undefined) {
      console.log(`      skipped: ${why}`)
      return this.skip()
    }
    const server = await startSshServer()
    const credential = { provider: 'file', private_key_key: 'git-key' }
    try {
      const world = await World.make({
        urlOf: path => server.url(path),
        config: made => ({
          platform: { url: made.urlOf(made.bare('platform')), signers: [made.people.ada.publicKey], credential },
          transports: ['ssh'],
          ssh: { hostKeys: [server.hostKeyLine] },
        }),
        manifests: withRepository({ credential }),
      })
      const key = join(world.folder, 'secrets/git-key')
      writeFileSync(key, server.clientKey)
      await assertWalks(world)
      const config = readFileSync(world.config, 'utf8')
      writeFileSync(world.config, config.replace(`:${server.port} ssh-ed25519`, ':1 ssh-ed25519'))
      const refused = await world.cratewright('reconcile')
      assert.equal(refused.code, 3, refused.err)
      assert.match(refused.err, /lists no host key of \[127\.0\.0\.1\]:\d+ \[HostNotAllowed\]/)
      assert.doesNotMatch(refused.err, /PRIVATE KEY/)
    } finally {
      await server.stop()
    }
  })

  it('over HTTPS, with the authority of the hospital, named in the bootstrap file and in the Repository', async function () {
    const authority = makeAuthority()
    if (!authority) {
      console.log('      skipped: there is no openssl to make a certificate')
      return this.skip()
    }
    const server = await startGitServer(tmpdir(), undefined, authority.issue('127.0.0.1'))
    try {
      const world = await World.make({
        urlOf: path => server.url(relative(tmpdir(), path)),
        config: () => ({ transports: ['https'], tls: { ca: 'ca.pem' } }),
        manifests: withRepository({ ca: authority.certificate }),
      })
      const ca = join(world.folder, 'ca.pem')
      writeFileSync(ca, makeAuthority()?.certificate ?? '')
      const untrusted = await world.cratewright('reconcile')
      assert.equal(untrusted.code, 3)
      assert.match(untrusted.err, /certificate.*\[GitUnreachable\]\n.*tls\.ca/)
      writeFileSync(ca, authority.certificate)
      await assertWalks(world)
      writeFileSync(ca, 'no certificate')
      const unreadable = await world.cratewright('reconcile')
      assert.equal(unreadable.code, 2)
      assert.match(unreadable.err, /tls\.ca, .*ca\.pem: .* holds no certificate \[ConfigInvalid\]/)
    } finally {
      await server.stop()
    }
  })
})
