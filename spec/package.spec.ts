import assert from 'node:assert/strict'
import { execFile, execFileSync } from 'node:child_process'
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs'
import { delimiter, dirname, join, resolve } from 'node:path'
import { tempFolder } from './support/temp.ts'
import { World } from './support/world.ts'

const checkout = resolve(import.meta.dirname, '..')
const manifest = JSON.parse(readFileSync(join(checkout, 'package.json'), 'utf8')) as {
  name: string
  version: string
  dependencies: Record<string, string>
}
// npm runs on the Node of this test, and asks nobody for anything.
const env = {
  ...process.env,
  PATH: [dirname(process.execPath), process.env.PATH].join(delimiter),
  npm_config_offline: 'true',
  npm_config_update_notifier: 'false',
}

interface Packed {
  readonly filename: string
  readonly files: readonly { readonly path: string; readonly mode: number }[]
}

/** Packs a copy of what the package is made of, so that no other test of the checkout meets a half-made dist/. */
function pack(): Packed {
  const copy = join(tempFolder(), 'copy')
  const left = new Set(['node_modules', 'dist', '.git', '.quickstart', 'spec'])
  mkdirSync(copy)
  for (const name of readdirSync(checkout))
    if (!left.has(name)) cpSync(join(checkout, name), join(copy, name), { recursive: true })
  symlinkSync(join(checkout, 'node_modules'), join(copy, 'node_modules'))
  const [packed] = JSON.parse(
    execFileSync('npm', ['pack', '--json', '--silent'], { cwd: copy, env, encoding: 'utf8' }),
  ) as Packed[]
  assert.ok(packed)
  return { ...packed, filename: join(copy, packed.filename) }
}

/** With npm, where its cache has what is needed; else by hand, as npm would, beside links to the checkout's dependencies. */
function install(tarball: string): { command: string; how: string } {
  const folder = tempFolder()
  const command = join(folder, 'node_modules/.bin', manifest.name)
  const flags = [
    '--offline',
    '--ignore-scripts',
    '--omit=dev',
    '--omit=optional',
    '--no-audit',
    '--no-fund',
    '--silent',
  ]
  try {
    execFileSync('npm', ['install', ...flags, tarball], { cwd: folder, env, stdio: 'pipe', timeout: 60_000 })
    return { command, how: 'npm install' }
  } catch {
    const modules = join(folder, 'node_modules')
    const own = join(modules, manifest.name)
    mkdirSync(own, { recursive: true })
    execFileSync('tar', ['-xzf', tarball, '-C', own, '--strip-components=1'])
    for (const name of Object.keys(manifest.dependencies)) {
      mkdirSync(dirname(join(modules, name)), { recursive: true })
      symlinkSync(join(checkout, 'node_modules', name), join(modules, name))
    }
    const { bin } = JSON.parse(readFileSync(join(own, 'package.json'), 'utf8')) as { bin: Record<string, string> }
    const target = join(own, bin[manifest.name] ?? '')
    mkdirSync(dirname(command), { recursive: true })
    symlinkSync(target, command)
    chmodSync(target, 0o755)
    return {
      command,
      how: 'tar, with links to the dependencies of the checkout (npm has not all of them in its cache)',
    }
  }
}

describe('the package that users install', () => {
  let packed: Packed
  let command: string
  let world: World

  before(async function () {
    this.timeout(240_000)
    packed = pack()
    const installed = install(packed.filename)
    command = installed.command
    console.log(`      installed with ${installed.how}`)
    world = await World.make()
  })

  function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
    const { PATH, HOME } = env as Record<string, string>
    return new Promise(done => {
      execFile(
        command,
        args,
        { cwd: world.folder, env: { PATH, HOME, CRATEWRIGHT_CONFIG: world.config } },
        (error, out, err) => done({ code: error ? Number(error.code ?? -1) : 0, out, err }),
      )
    })
  }

  it('holds compiled files, schemas and examples, and neither sources nor tests', () => {
    const paths = packed.files.map(({ path }) => path)
    for (const path of [
      'dist/controller/main.js',
      'dist/schemas/generated/request.schema.json',
      'schemas/request.linkml.yaml',
      'schemas/generated/request.schema.json',
      'examples/cratewright.yaml',
      'docs/errors.md',
      'LICENSE',
      'README.md',
      'scripts/launch.js',
    ])
      assert.ok(paths.includes(path), `${path} is missing`)
    // What comes with the package where the checkout has it.
    if (existsSync(join(checkout, 'templates'))) assert.ok(paths.some(path => path.startsWith('templates/')))
    assert.deepEqual(
      paths.filter(path => /\.ts$|^(spec|controller|node_modules)\/|(^|\/)\./.test(path)),
      [],
    )
    const sources = readdirSync(join(checkout, 'controller'), { recursive: true, encoding: 'utf8' })
    const modules = sources.filter(path => path.endsWith('.ts')).map(path => path.replace(/\.ts$/, '.js'))
    assert.deepEqual(
      modules.filter(path => !paths.includes(`dist/controller/${path}`)),
      [],
    )
  })

  it('says its version', async () => {
    assert.deepEqual(await run('--version'), { code: 0, out: `${manifest.name} ${manifest.version}\n`, err: '' })
  })

  it('plans the example that it carries', async () => {
    const folder = join(dirname(command), '..', manifest.name, 'examples')
    const { code, out, err } = await run(
      ...['plan', '--folder', join(folder, 'projects/asthma-outcomes'), '--platform', join(folder, 'platform')],
    )
    assert.equal(code, 0, err)
    assert.match(out, /asthma-outcomes/)
  })

  it('reconciles, plans and verifies, as a checkout does', async function () {
    this.timeout(120_000)
    await world.walk('lungs', 'Staged')
    await world.disclose('dana', 'lungs')
    const reconciled = await run('reconcile')
    assert.equal(reconciled.code, 0, reconciled.err)
    const planned = await run('plan', 'lungs', '--json')
    assert.equal(planned.code, 0, planned.err)
    assert.deepEqual(JSON.parse(planned.out), JSON.parse((await world.cratewright('plan', 'lungs', '--json')).out))
    const root = world.controller.key.public.fingerprint
    for (const target of [await world.auditor(), world.release('lungs')]) {
      const verified = await run('verify', target, '--root', root)
      assert.equal(verified.code, 0, `${verified.out}${verified.err}`)
    }
    assert.equal((await run('verify', world.release('lungs'), '--root', 'SHA256:another')).code, 2)
  })
})
