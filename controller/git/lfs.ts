/** Git LFS: files that stand for others on another server, which nothing of ours asks. */

const beginning = Buffer.from('version https://git-lfs.github.com/spec/')

/** Such a file begins with its version, and has less than 1024 bytes (the specification of Git LFS, "The Pointer"). */
export function isLfsPointer(content: Uint8Array): boolean {
  return content.length < 1024 && beginning.equals(content.subarray(0, beginning.length))
}

export const lfsTodo = 'Store the file itself in Git: `git lfs untrack` it, and add it again.'
