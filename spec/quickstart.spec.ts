import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { connect } from 'node:net'
import { dirname, join, resolve } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { tempFolder } from './support/temp.ts'

const checkout = resolve(import.meta.dirname, '..')

/** The checkout as it is now, in a folder of its own: what a fresh clone would hold, with the dependencies that are here. */
function freshCheckout(): string {
  const folder = realpathSync(tempFolder())
  // PostgreSQL runs as another user where we are root, and has to reach what lies below.
  chmodSync(folder, 0o755)
  const copy = join(folder, 'checkout')
  const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: checkout,
    encoding: 'utf8',
  })
  for (const path of listed.split('\0').filter(path => path !== '' && existsSync(join(checkout, path)))) {
    mkdirSync(dirname(join(copy, path)), { recursive: true })
    cpSync(join(checkout, path), join(copy, path))
  }
  // Each dependency is a link, and the mark is our own: nothing can be installed into the checkout from here.
  mkdirSync(join(copy, 'node_modules'))
  for (const name of readdirSync(join(checkout, 'node_modules')).filter(name => name !== '.installed'))
    symlinkSync(join(checkout, 'node_modules', name), join(copy, 'node_modules', name))
  const lock = execFileSync('git', ['hash-object', 'package-lock.json'], { cwd: copy, encoding: 'utf8' })
  writeFileSync(join(copy, 'node_modules/.installed'), lock)
  mkdirSync(join(folder, 'tmp'), { mode: 0o777 })
  chmodSync(join(folder, 'tmp'), 0o777)
  return copy
}

interface Quickstart {
  readonly child: ChildProcess
  readonly ended: Promise<{ readonly code: number | null; readonly out: string }>
  out(): string
}

/** In a process group of its own, as a shell starts it, so that Ctrl-C can be sent to all of it. */
function startQuickstart(copy: string): Quickstart {
  const { PATH = '', HOME = '/' } = process.env
  const child = spawn('scripts/quickstart', [], {
    cwd: copy,
    env: { PATH, HOME, TMPDIR: join(dirname(copy), 'tmp') },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let out = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', data => {
      out += data
    })
  const ended = new Promise<{ code: number | null; out: string }>((done, fail) => {
    child.once('error', fail)
    child.once('close', code => done({ code, out }))
  })
  return { child, ended, out: () => out }
}

/** Processes that were started from the folder, work in it, or name it: id and command line. */
function processesOf(folder: string): string[] {
  const read = (look: () => string) => {
    try {
      return look()
    } catch {
      return ''
    }
  }
  return readdirSync('/proc')
    .filter(id => /^\d+$/.test(id) && Number(id) !== process.pid)
    .flatMap(id => {
      const command = read(() => readFileSync(`/proc/${id}/cmdline`, 'utf8')).replaceAll('\0', ' ')
      const cwd = read(() => readlinkSync(`/proc/${id}/cwd`))
      return command.includes(folder) || cwd.startsWith(folder) ? [`${id} ${command}`] : []
    })
}

async function nothingLeft(folder: string): Promise<void> {
  for (const deadline = Date.now() + 8_000; processesOf(folder).length > 0 && Date.now() < deadline; )
    await setTimeout(50)
  assert.deepEqual(processesOf(folder), [])
}

function listens(port: number): Promise<boolean> {
  return new Promise(done => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      done(true)
    })
    socket.once('error', () => done(false))
  })
}

/** The same numbers every time: a run that fails can be run again. */
function random(seed: number): number {
  const x = Math.sin(seed) * 10_000
  return x - Math.floor(x)
}

describe('the quickstart', () => {
  let copy: string
  const home = (...path: string[]) => join(copy, '.quickstart', ...path)

  before(function () {
    if (process.platform !== 'linux') {
      console.log('      processes are counted in /proc, which this system has not')
      this.skip()
    }
    copy = freshCheckout()
  })

  describe('from a fresh clone', () => {
    let result: { code: number | null; out: string }
    before(async () => {
      result = await startQuickstart(copy).ended
    })

    it('ends well, having shown each step in its order', () => {
      assert.equal(result.code, 0, result.out.slice(-3000))
      const steps = [...result.out.matchAll(/^\[(\d+)\] (.+)$/gm)].map(([, number, title]) => `${number} ${title}`)
      const expected = [
        /^1 A hospital’s database/,
        /^2 Three people.*two repositories/,
        /^3 Rob asks for data/,
        /^4 The request is merged/,
        /^5 Dana signs off/,
        /^6 The data is extracted to staging/,
        /^7 Dana reads the disclosure report/,
        /^8 The release is sealed.*production/,
        /^9 Forbidden: Rob signs off his own request/,
        /^10 Forbidden: Rob adds a table after Dana has signed off/,
        /^11 Forbidden: somebody changes one byte of the released data/,
        /^12 An auditor/,
      ]
      assert.equal(steps.length, expected.length, steps.join('\n'))
      for (const [index, pattern] of expected.entries()) assert.match(steps[index] ?? '', pattern)
      assert.match(result.out, /^Done in \d+ s\. Released data: \.quickstart\/production\/asthma-outcomes\/1\./m)
      assert.doesNotMatch(result.out, /An earlier quickstart/)
    })

    const part = (number: number) => result.out.split(/^\[\d+\] /m)[number] ?? ''

    it('shows a plan before the merge, with the tables asked for and who has to agree', () => {
      assert.match(part(3), /\$ cratewright plan --ref asthma/)
      assert.match(part(3), /table cohort: clinical\.patients, 10 columns/)
      assert.match(part(3), /The source has every table and column asked for/)
      assert.match(part(3), /sign-off needs 1 of data-governance \(dana/)
    })

    it('refuses an approval of one’s own request', () => {
      assert.match(part(9), /Statement of rob does not count: .*\n.*nobody approves their own request/)
      assert.equal(existsSync(home('staging/asthma-wards')), false)
    })

    it('voids an approval when the request changes', () => {
      assert.match(part(10), /1 more approval needed/)
      assert.match(part(10), /it is void, and nothing was extracted/)
      assert.equal(existsSync(home('production/asthma-wards')), false)
    })

    it('finds one changed byte by the name of the file, and calls the whole release proven without it', () => {
      assert.match(part(11), /BAD: .*data\/outputs\/cohort\/admissions\.csv/)
      assert.match(part(11), /^ *The evidence is BAD: /m)
      assert.equal(
        part(12).match(/^ *Proven: the records are whole, and rest on the key that you trust\.$/gm)?.length,
        2,
      )
    })

    it('leaves everything to look at in .quickstart, and nothing elsewhere', () => {
      const folders = ['auditor', 'people', 'platform.git', 'production', 'projects.git', 'secrets', 'staging', 'work']
      for (const name of folders) assert.ok(existsSync(home(name)), name)
      assert.deepEqual(readdirSync(home('people')).sort(), ['ada', 'dana', 'rob'])
      assert.ok(existsSync(home('auditor/trust/people.yaml')))
      assert.deepEqual(readdirSync(home('production/asthma-outcomes/1/data/outputs')).sort(), [
        'cohort',
        'measurements',
      ])
      assert.ok(existsSync(home('staging/asthma-outcomes/1.review/report.md')))
      assert.equal(existsSync(home('staging/asthma-outcomes/1')), false, 'what is released is no longer staged')
      const dirty = execFileSync('git', ['-C', home('auditor'), 'status', '--porcelain'], { encoding: 'utf8' })
      assert.equal(dirty, '')
      assert.deepEqual(readdirSync(join(dirname(copy), 'tmp')), [])
    })

    it('gives verdicts that another process gives as well, on a released file as it now lies there', () => {
      const root = /rests on the key (SHA256:\S+)\./.exec(part(12))?.[1] ?? ''
      for (const path of ['auditor', 'production/asthma-outcomes/1']) {
        const out = execFileSync(join(copy, 'scripts/cratewright'), ['verify', home(path), '--root', root], {
          encoding: 'utf8',
        })
        assert.match(out, /^Proven: /m)
      }
    })

    it('leaves no process and no server behind', async () => {
      await nothingLeft(dirname(copy))
      const port = Number(/port: (\d+)/.exec(readFileSync(home('people/ada/platform/sources.yaml'), 'utf8'))?.[1])
      assert.equal(await listens(port), false)
    })
  })

  describe('ended by Ctrl-C', () => {
    // While the server starts; while people and repositories are made; while the controller works.
    const moments: readonly [string, RegExp, number][] = [
      ['while the database starts', /\[1\]/, 300 + random(1) * 900],
      ['while repositories and a plan are made', /\[2\]/, random(2) * 1_500],
      ['while data is extracted', /\[6\]/, random(3) * 1_200],
    ]
    let run: Quickstart | undefined
    afterEach(async () => {
      if (run?.child.exitCode === null && run.child.pid) process.kill(-run.child.pid, 'SIGKILL')
      await run?.ended
    })
    for (const [index, [what, shown, delay]] of moments.entries()) {
      it(`leaves no process, no server and no temporary folder: ${what}, ${Math.round(delay)} ms after ${shown.source}`, async () => {
        const again = existsSync(home())
        run = startQuickstart(copy)
        let over = false
        void run.ended.then(() => {
          over = true
        })
        while (!over && !shown.test(run.out())) await setTimeout(20)
        await setTimeout(delay)
        assert.equal(over, false, run.out().slice(-2000))
        const servers = processesOf(dirname(copy)).filter(line => line.includes('postgres -D'))
        const ports = servers.flatMap(line => /port=(\d+)/.exec(line)?.[1] ?? [])
        if (index > 0) assert.equal(ports.length > 0, true, 'the server runs until then')
        process.kill(-(run.child.pid ?? 0), 'SIGINT')
        const { code, out } = await run.ended
        assert.equal(code, 130, out)
        await nothingLeft(dirname(copy))
        for (const port of ports) assert.equal(await listens(Number(port)), false)
        assert.deepEqual(readdirSync(join(dirname(copy), 'tmp')), [])
        assert.equal(/An earlier quickstart lies in \.quickstart\/; this one starts afresh\./.test(out), again)
        assert.doesNotMatch(out, /failed|unexpected|\n\s+at /i, 'what a person ends themselves is no error')
      })
    }
  })
})
