/**
 * Judges bags of BagIt 0.93 to 1.0 (RFC 8493): every defect at once, each with a code of its own. Touches nothing itself;
 * a reader gives it listing, bytes and checksums, so that a bag in a folder and one in Git are judged by the same rules.
 */

import { createHash } from 'node:crypto'
import { collisionKey, pathDefect, showPath } from './bag-path.ts'
import {
  type Algorithm,
  checksumLength,
  decodeName,
  decodeText,
  type Encoding,
  encodingOf,
  linesOf,
  type ManifestName,
  manifestName,
  parseFetchLine,
  parseInfo,
  parseManifestLine,
} from './bag-text.ts'
import { type BagProblem, type BagProblemCode, type BagVerdict, incompleteness } from './bag-verdict.ts'

/** Errors of the reader (a disk that fails) pass through: they say nothing of the bag. */
export interface BagReader {
  /** Everything below the bag's folder but folders; links are listed, never followed. */
  list(): Promise<
    readonly { readonly path: string; readonly kind: 'file' | 'symlink' | 'other'; readonly size: number }[]
  >
  /** A whole file; an error if it has more than `maxBytes`. */
  read(path: string, maxBytes: number): Promise<Uint8Array>
  /** Checksums in hex, by algorithm. */
  hash(path: string, algorithms: readonly Algorithm[]): Promise<Readonly<Record<string, string>>>
}

export interface BagCheckOptions {
  /** The payload lies elsewhere: files of fetch.txt may be absent. */
  readonly allowFetch?: boolean
  readonly signal?: AbortSignal
}

const maxReported = 1000
/** Files of a bag. */
export const maxFiles = 200_000
/** Bytes of bag-info.txt and bagit.txt. */
const maxInfo = 1024 * 1024
/** Bytes: more than a manifest-sha512.txt of 200 000 files with names of usual length. */
const maxTagFile = 64 * 1024 * 1024
const supportedVersions = ['0.93', '0.94', '0.95', '0.96', '0.97', '1.0']
export async function checkBag(reader: BagReader, options: BagCheckOptions = {}): Promise<BagVerdict> {
  return await new BagCheck(reader, options).run()
}

/** One manifest, with files by their name on disk. */
interface Manifest extends ManifestName {
  readonly algorithm: Algorithm
  readonly files: Map<string, string>
}

class BagCheck {
  readonly #reader: BagReader
  readonly #allowFetch: boolean
  readonly #signal: AbortSignal | undefined
  readonly #problems: BagProblem[] = []
  readonly #warnings: BagProblem[] = []
  /** Everything that was listed, with its size; -1 for what is no file. */
  readonly #seen = new Map<string, number>()
  /** Sizes of the regular files. */
  readonly #files = new Map<string, number>()
  readonly #byNfc = new Map<string, string>()
  /** Tag files that were read: their checksums are taken from the same bytes. */
  readonly #contents = new Map<string, Uint8Array>()
  #complete = true
  #encoding: Encoding = 'utf-8'
  #modern = true

  constructor(reader: BagReader, { allowFetch = false, signal }: BagCheckOptions) {
    this.#reader = reader
    this.#allowFetch = allowFetch
    this.#signal = signal
  }

  async run(): Promise<BagVerdict> {
    if ((await this.#list()) && (await this.#declaration())) {
      const manifests = await this.#manifests()
      const fetched = await this.#fetch(manifests.filter(({ kind }) => kind === 'payload'))
      this.#names(manifests)
      this.#listed(manifests, fetched)
      await this.#info(fetched)
      await this.#checksums(manifests)
      await this.#unchanged()
    }
    const valid = this.#problems.length === 0
    return { valid, complete: this.#complete, problems: this.#problems, warnings: this.#warnings }
  }

  #add(severity: 'error' | 'warning', code: BagProblemCode, message: string, path?: string): void {
    if (severity === 'error' && incompleteness.includes(code)) this.#complete = false
    const list = severity === 'error' ? this.#problems : this.#warnings
    if (list.length < maxReported)
      list.push({ code, severity, message, ...(path === undefined ? {} : { path: showPath(path) }) })
  }

  #error(code: BagProblemCode, message: string, path?: string): void {
    this.#add('error', code, message, path)
  }

  #warning(code: BagProblemCode, message: string, path?: string): void {
    this.#add('warning', code, message, path)
  }

  #tooMany(files: number, path?: string): boolean {
    if (files > maxFiles) this.#error('TooManyFiles', `there are more than ${maxFiles} files`, path)
    return files > maxFiles
  }

  async #list(): Promise<boolean> {
    const entries = await this.#reader.list()
    if (this.#tooMany(entries.length)) return false
    for (const { path, kind, size } of entries) {
      this.#seen.set(path, kind === 'file' ? size : -1)
      const defect = pathDefect(path)
      if (defect) this.#error(defect, 'a file has a name that some platform would place elsewhere', path)
      if (kind !== 'file')
        this.#error(
          'FileNotRegular',
          'is a link, a device or of a name that is not UTF-8: no file that can be checked',
          path,
        )
      else {
        this.#files.set(path, size)
        this.#byNfc.set(path.normalize('NFC'), path)
      }
    }
    return true
  }

  /** The text of a tag file; undefined after a problem was noted, or where there is none. */
  async #text(path: string, maxBytes: number, encoding = this.#encoding): Promise<string | undefined> {
    const size = this.#files.get(path)
    if (size === undefined) return undefined
    if (size > maxBytes) {
      this.#error('TagFileTooLarge', `has ${size} bytes, and may have ${maxBytes}`, path)
      return undefined
    }
    const content = await this.#reader.read(path, maxBytes)
    this.#contents.set(path, content)
    const text = decodeText(content, encoding)
    if (text === undefined) this.#error('TagFileNotText', `is not text in ${encoding}`, path)
    return text
  }

  /** RFC 8493 §2.1.1: two lines, labels and the blank after the colon exactly so, no byte-order mark. */
  async #declaration(): Promise<boolean> {
    const path = 'bagit.txt'
    if (!this.#files.has(path)) this.#error('DeclarationMissing', 'the bag has no bagit.txt', path)
    const text = await this.#text(path, maxInfo, 'utf-8')
    if (text === undefined) return false
    if (text.startsWith('\ufeff')) {
      this.#error('DeclarationMarked', 'begins with a byte-order mark', path)
      return false
    }
    const lines = [...linesOf(text)].map(({ line }) => line.trimEnd())
    const version = /^BagIt-Version: (\S+)$/.exec(lines[0] ?? '')?.[1]
    const encoding = /^Tag-File-Character-Encoding: (\S+)$/.exec(lines[1] ?? '')?.[1]
    if (version === undefined || encoding === undefined || lines.length !== 2) {
      this.#error('DeclarationInvalid', 'is not the two lines BagIt-Version and Tag-File-Character-Encoding', path)
      return false
    }
    if (!/^\d+\.\d+$/.test(version)) this.#error('VersionInvalid', 'the version is not of the form M.N', path)
    else if (!supportedVersions.includes(version))
      this.#error('VersionUnsupported', 'the version is none of 0.93 to 1.0', path)
    const known = encodingOf(encoding)
    if (!known) this.#error('EncodingUnsupported', 'the encoding is none of UTF-8, UTF-16 and ISO-8859-1', path)
    this.#encoding = known ?? 'utf-8'
    this.#modern = version === '1.0'
    return this.#problems.every(({ path: where }) => where !== path)
  }

  async #manifests(): Promise<Manifest[]> {
    const names = [...this.#files.keys()].flatMap(path => manifestName(path) ?? [])
    const payload = names.filter(({ kind }) => kind === 'payload')
    if (payload.length === 0) this.#error('ManifestMissing', 'the bag has no payload manifest')
    else if (payload.every(({ algorithm }) => !algorithm)) {
      this.#error('AlgorithmUnsupported', 'no payload manifest has an algorithm that can be computed')
    }
    const manifests: Manifest[] = []
    for (const { path, kind, algorithm } of names) {
      if (!algorithm) {
        this.#warning('AlgorithmUnsupported', 'the algorithm is not known; the manifest was not used', path)
        continue
      }
      if (manifests.some(other => other.kind === kind && other.algorithm === algorithm)) {
        this.#error('ManifestRepeated', `is a second manifest of ${algorithm}`, path)
        continue
      }
      const manifest = { path, kind, algorithm, files: new Map<string, string>() }
      manifests.push(manifest)
      for (const { number, line } of linesOf((await this.#text(path, maxTagFile)) ?? '')) {
        this.#manifestLine(manifest, number, line)
        if (this.#tooMany(manifest.files.size, path)) break
      }
    }
    return manifests
  }

  #manifestLine({ path, kind, algorithm, files }: Manifest, number: number, line: string): void {
    const listed = parseManifestLine(line)
    if (!listed) {
      this.#error('ManifestLineInvalid', `line ${number} is not a checksum and a path`, path)
      return
    }
    const { checksum, name, marked, dotted } = listed
    if (checksum.length !== checksumLength[algorithm]) {
      this.#error('ChecksumInvalid', `line ${number} has no checksum of ${algorithm}`, path)
      return
    }
    const file = this.#resolve(name, path, number)
    if (file === undefined) return
    if (marked) this.#warning('PathMarked', `line ${number} marks the path with *, as md5sum does`, path)
    if (dotted) this.#warning('PathDotted', `line ${number} begins the path with ./`, path)
    const isPayload = file.startsWith('data/')
    if (kind === 'payload' ? !isPayload : isPayload || manifestName(file)?.kind === 'tag') {
      this.#error('PathOutOfScope', `line ${number} lists what this manifest cannot list`, path)
      return
    }
    const known = files.get(file)
    if (known !== undefined && known !== checksum) {
      this.#error('PathRepeatedDifferently', `listed twice in ${path}, with different checksums`, file)
    } else if (known !== undefined) {
      // RFC 8493 §2.1.3 from 1.0 on: exactly once.
      this.#add(this.#modern ? 'error' : 'warning', 'PathRepeated', `listed twice in ${path}`, file)
    }
    files.set(file, checksum)
  }

  /** The name on disk that a manifest or fetch.txt means; undefined after a problem was noted. */
  #resolve(name: string, where: string, number: number): string | undefined {
    const decoded = this.#modern ? decodeName(name) : name
    // bagit-python writes `%` as it is; then only one of the two readings names a file that exists.
    const raw = decoded !== name && !this.#files.has(decoded) && this.#files.has(name)
    const file = raw ? name : decoded
    const defect = pathDefect(file)
    if (defect) {
      this.#error(defect, `line ${number} names a path that leaves the bag, or would on some platform`, where)
      return undefined
    }
    if (raw) this.#warning('PercentNotEncoded', `line ${number} has a % that should be written %25`, where)
    const twin = this.#byNfc.get(file.normalize('NFC'))
    if (this.#files.has(file) || twin === undefined) return file
    this.#warning(
      'NameNormalizedDifferently',
      `line ${number} spells a name in another Unicode form than the file has`,
      where,
    )
    return twin
  }

  /** Files of fetch.txt with their sizes. */
  async #fetch(payload: readonly Manifest[]): Promise<Map<string, number | undefined>> {
    const path = 'fetch.txt'
    const fetched = new Map<string, number | undefined>()
    for (const { number, line } of linesOf((await this.#text(path, maxTagFile)) ?? '')) {
      const entry = parseFetchLine(line)
      if (!entry) {
        this.#error('FetchLineInvalid', `line ${number} is not a URL, a length and a path`, path)
        continue
      }
      const file = this.#resolve(entry.name, path, number)
      if (file === undefined) continue
      if (!file.startsWith('data/')) {
        this.#error('PathOutOfScope', `line ${number} names a file outside data/`, path)
        continue
      }
      if (fetched.has(file)) this.#error('PathRepeated', `listed twice in ${path}`, file)
      // RFC 8493 §2.2.3: every manifest lists it, so that what comes can be checked.
      const unlisted = payload.find(({ files }) => !files.has(file))
      if (unlisted) this.#error('FetchUnlisted', `in fetch.txt, but not in ${unlisted.path}`, file)
      const size = this.#files.get(file)
      if (size !== undefined && entry.size !== undefined && size !== entry.size) {
        this.#error('PayloadSizeDiffers', `has ${size} bytes, and ${entry.size} by fetch.txt`, file)
      }
      fetched.set(file, entry.size)
      if (this.#tooMany(fetched.size, path)) break
    }
    return fetched
  }

  /** Names that some file system takes for one, or that a file browser left behind. */
  #names(manifests: readonly Manifest[]): void {
    const seen = new Map<string, string>()
    for (const path of new Set([...this.#files.keys(), ...manifests.flatMap(({ files }) => [...files.keys()])])) {
      const key = collisionKey(path)
      const other = seen.get(key)
      if (other === undefined) seen.set(key, path)
      else this.#warning('NamesCollide', `differs from ${showPath(other)} in case or Unicode form only`, path)
      if (/(^|\/)(thumbs\.db|\.ds_store|desktop\.ini)$/i.test(path))
        this.#warning('SystemFile', 'was made by a file browser', path)
    }
  }

  /** What the manifests list is there, and the payload is in them. */
  #listed(manifests: readonly Manifest[], fetched: ReadonlyMap<string, number | undefined>): void {
    const payload = manifests.filter(({ kind }) => kind === 'payload')
    const all = new Set(payload.flatMap(({ files }) => [...files.keys()]))
    for (const file of all) {
      if (this.#files.has(file)) continue
      if (!fetched.has(file)) this.#error('PayloadMissing', 'is listed, but not there', file)
      else if (this.#allowFetch) this.#complete = false
      else this.#error('PayloadNotFetched', 'is to be fetched, and not there', file)
    }
    const present = [...this.#files.keys()].filter(file => file.startsWith('data/'))
    for (const file of new Set([...all, ...present])) {
      // RFC 8493 §2.1.3 from 1.0 on: in every manifest. Before: in one.
      const missing = this.#modern
        ? payload.find(({ files }) => !files.has(file))
        : all.has(file)
          ? undefined
          : payload[0]
      if (missing) this.#error('PayloadUnlisted', `is not listed in ${missing.path}`, file)
    }
    for (const { kind, path, files } of manifests) {
      if (kind === 'payload') continue
      for (const file of files.keys()) {
        if (!this.#files.has(file)) this.#error('TagFileMissing', `is listed in ${path}, but not there`, file)
      }
    }
  }

  /** bag-info.txt, and of it Payload-Oxum: octets and number of the payload files (RFC 8493 §2.2.2). */
  async #info(fetched: ReadonlyMap<string, number | undefined>): Promise<void> {
    // Its name until 0.95.
    const path = ['bag-info.txt', 'package-info.txt'].find(name => this.#files.has(name)) ?? 'bag-info.txt'
    const text = await this.#text(path, maxInfo)
    if (text === undefined) return
    const { entries, invalid } = parseInfo(text)
    for (const number of invalid) this.#error('InfoLineInvalid', `line ${number} is not a label and a value`, path)
    const oxums = entries.filter(([label]) => label.toLowerCase() === 'payload-oxum').map(([, value]) => value)
    if (oxums.length > 1) this.#error('OxumRepeated', 'has more than one Payload-Oxum', path)
    const oxum = oxums[0]
    if (oxum === undefined) return
    if (!/^\d{1,30}\.\d{1,15}$/.test(oxum)) {
      this.#error('OxumInvalid', 'Payload-Oxum is not of the form octets.files', path)
      return
    }
    const sizes = new Map<string, number | undefined>(this.#allowFetch ? fetched : [])
    for (const [file, size] of this.#files) if (file.startsWith('data/')) sizes.set(file, size)
    const known = [...sizes.values()].filter(size => size !== undefined)
    if (known.length < sizes.size) {
      this.#warning('OxumUnchecked', 'the sizes of absent files are not known', path)
      return
    }
    const found = `${known.reduce((sum, size) => sum + BigInt(size), 0n)}.${known.length}`
    if (oxum.replace(/^0+(?=\d)/, '') !== found)
      this.#error('OxumDiffers', `the payload is ${found}, and not as Payload-Oxum says`, path)
  }

  async #checksums(manifests: readonly Manifest[]): Promise<void> {
    const wanted = new Map<string, { algorithm: Algorithm; checksum: string; manifest: string }[]>()
    for (const { path, algorithm, files } of manifests) {
      for (const [file, checksum] of files) {
        if (!this.#files.has(file)) continue
        const list = wanted.get(file) ?? []
        wanted.set(file, [...list, { algorithm, checksum, manifest: path }])
      }
    }
    for (const [file, list] of wanted) {
      this.#signal?.throwIfAborted()
      const found = await this.#hash(file, [...new Set(list.map(({ algorithm }) => algorithm))])
      for (const { algorithm, checksum, manifest } of list) {
        if (found[algorithm]?.toLowerCase() === checksum) continue
        const code = file.startsWith('data/') ? 'PayloadCorrupt' : 'TagFileCorrupt'
        this.#error(code, `does not have the checksum that ${manifest} lists`, file)
      }
    }
  }

  /** What came or changed its size meanwhile was not judged. A change that shows neither is one made afterwards. */
  async #unchanged(): Promise<void> {
    const now = new Map((await this.#reader.list()).map(({ path, kind, size }) => [path, kind === 'file' ? size : -1]))
    for (const path of new Set([...this.#seen.keys(), ...now.keys()]))
      if (this.#seen.get(path) !== now.get(path)) this.#error('BagChanged', 'changed while the bag was read', path)
  }

  async #hash(file: string, algorithms: readonly Algorithm[]): Promise<Readonly<Record<string, string>>> {
    const content = this.#contents.get(file)
    if (!content) return await this.#reader.hash(file, algorithms)
    return Object.fromEntries(algorithms.map(name => [name, createHash(name).update(content).digest('hex')]))
  }
}
