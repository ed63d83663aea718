/** Trees that git's own tools would not write, and a hostile client does: any bytes as a name, in any order, twice. */

import { runGit } from '../../controller/git/work-tree.ts'

const forever = new AbortController().signal

export interface RawEntry {
  readonly mode: '40000' | '100644' | '100755' | '120000' | '160000'
  /** Text, or bytes that are none. */
  readonly name: string | Buffer
  readonly oid: string
}

async function written(bare: string, args: string[], input: Uint8Array | AsyncIterable<Uint8Array>): Promise<string> {
  const { code, stdout, stderr } = await runGit(bare, args, { signal: forever, input })
  if (code !== 0) throw new Error(`git ${args.join(' ')}: ${stderr}`)
  return stdout.toString().trim()
}

export function blob(bare: string, content: string | Uint8Array | AsyncIterable<Uint8Array>): Promise<string> {
  return written(bare, ['hash-object', '-w', '--stdin'], typeof content === 'string' ? Buffer.from(content) : content)
}

/** Exactly these entries, in this order. */
export function tree(bare: string, entries: readonly RawEntry[]): Promise<string> {
  const bytes = entries.flatMap(({ mode, name, oid }) => [
    Buffer.from(`${mode} `),
    typeof name === 'string' ? Buffer.from(name) : name,
    Buffer.from([0]),
    Buffer.from(oid, 'hex'),
  ])
  return written(bare, ['hash-object', '-t', 'tree', '-w', '--stdin', '--literally'], Buffer.concat(bytes))
}

/** In the order that git wants: a folder as if its name ended in a slash. */
export function sorted(entries: readonly RawEntry[]): RawEntry[] {
  const key = ({ name, mode }: RawEntry) =>
    Buffer.concat([Buffer.from(name as Buffer), Buffer.from(mode === '40000' ? '/' : '')])
  return entries.toSorted((a, b) => Buffer.compare(key(a), key(b)))
}

/** The entries of a tree that git can read. */
export async function entriesOf(bare: string, treeish: string): Promise<RawEntry[]> {
  const { stdout } = await runGit(bare, ['ls-tree', '-z', treeish], { signal: forever })
  return stdout
    .toString()
    .split('\0')
    .slice(0, -1)
    .map(line => {
      const [what = '', name = ''] = line.split('\t')
      const [mode = '', , oid = ''] = what.split(' ')
      return { mode: mode.replace(/^0/, '') as RawEntry['mode'], name, oid }
    })
}

/** The tree with another entry at a path whose folders git can read; what has that name is replaced. */
export async function graft(
  bare: string,
  treeish: string,
  path: string,
  entry: Omit<RawEntry, 'name'>,
): Promise<string> {
  const [name = '', ...rest] = path.split('/')
  const entries = await entriesOf(bare, treeish)
  const within = entries.find(one => one.name === name && one.mode === '40000')
  const made =
    rest.length === 0
      ? { ...entry, name }
      : {
          mode: '40000' as const,
          name,
          oid: await graft(bare, within?.oid ?? (await tree(bare, [])), rest.join('/'), entry),
        }
  return tree(bare, sorted([...entries.filter(one => one.name !== name), made]))
}
