/** One process a working folder: an exclusive Unix socket, which also takes "look now". */

import { randomUUID } from 'node:crypto'
import { mkdir, rename, rm } from 'node:fs/promises'
import { connect, createServer, type Server } from 'node:net'
import { join, relative } from 'node:path'
import { CratewrightError } from '../runtime/errors.ts'
import { removeLeftovers } from '../runtime/files.ts'

export interface Hold {
  release(): Promise<void>
}

const socketName = 'controller.sock'
/** Bytes a socket's path may have on the systems we run on (sockaddr_un). */
const maxSocketPath = 100

/** Holds the folder, or fails with FolderHeld. `onLook` is called when another process asks to look now. */
export async function holdFolder(folder: string, onLook: () => void = () => {}): Promise<Hold> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const path = socketPath(folder)
  for (let attempt = 0; attempt < 3; attempt++) {
    const server = await listen(path, onLook)
    if (server) {
      for (const written of [folder, join(folder, 'tips')]) await removeLeftovers(written)
      return {
        release: () =>
          new Promise(done => {
            server.close(() => done())
          }),
      }
    }
    // A socket without a listener was left by a process that was killed. It is moved away before it is judged: should its
    // listener be alive after all, it is put back.
    const aside = `${path}.${randomUUID().slice(0, 8)}`
    await rename(path, aside).catch(() => {})
    if (await answers(aside)) {
      await rename(aside, path).catch(() => {})
      break
    }
    await rm(aside, { force: true })
  }
  throw new CratewrightError('FolderHeld', `another process holds ${folder}`)
}

/** Asks whoever holds the folder to look now; false where nobody does. */
export async function askToLook(folder: string): Promise<boolean> {
  return answers(socketPath(folder), 'look\n')
}

function socketPath(folder: string): string {
  const path = join(folder, socketName)
  const short = relative(process.cwd(), path)
  const best = short.length < path.length ? short : path
  if (Buffer.byteLength(best) > maxSocketPath) {
    throw new CratewrightError('ConfigInvalid', `the path of ${folder} is too long for a socket in it`, {
      todo: 'Use a working folder with a shorter path.',
    })
  }
  return best
}

function listen(path: string, onLook: () => void): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer(connection => {
      connection.on('error', () => {})
      connection.once('data', data => {
        if (data.toString().startsWith('look\n')) onLook()
        connection.end('ok\n')
      })
      connection.setTimeout(5_000, () => connection.destroy())
    })
    server.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' ? resolve(undefined) : reject(error),
    )
    server.listen(path, () => {
      server.unref()
      resolve(server)
    })
  })
}

function answers(path: string, message = 'ping\n'): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(path)
    socket.setTimeout(3_000, () => socket.destroy())
    socket.once('error', () => resolve(false))
    // Whoever listens is alive, however busy or stopped: an answer is not waited for.
    socket.once('connect', () => {
      socket.end(message)
      resolve(true)
    })
    socket.once('close', () => resolve(false))
  })
}
