/** A TCP proxy in front of a server: what a network does to connections. */

import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

export interface TcpProxy {
  readonly port: number
  /** Connections taken so far. */
  readonly taken: number
  /** New connections are ended at once: the server is down. */
  refuse: boolean
  /** Bytes from the server after which a connection is cut; undefined: never. */
  cutAfter: number | undefined
  /** Bytes from the server after which a connection passes on nothing more, and stays open; undefined: never. */
  stallAfter: number | undefined
  /** Resolves when a connection has stalled, now or next. */
  stalled(): Promise<void>
  /** Cuts every connection that is open. */
  cut(): void
  /** Passes everything on again, to new connections and stalled ones. */
  mend(): void
  stop(): Promise<void>
}

export async function startTcpProxy(target: number): Promise<TcpProxy> {
  const open = new Set<Socket>()
  const stalled = new Set<Socket>()
  let tell: () => void = () => undefined
  let told = new Promise<void>(resolve => {
    tell = resolve
  })
  let taken = 0
  const server = createServer(client => {
    taken++
    if (proxy.refuse) return void client.resetAndDestroy()
    const upstream = connect(target, '127.0.0.1')
    let passed = 0
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      open.add(socket)
      socket.on('error', () => undefined)
      socket.on('close', () => {
        open.delete(socket)
        stalled.delete(socket)
        other.destroy()
      })
    }
    client.pipe(upstream)
    upstream.on('data', chunk => {
      client.write(chunk)
      passed += chunk.length
      if (proxy.cutAfter !== undefined && passed >= proxy.cutAfter) client.destroy()
      if (proxy.stallAfter === undefined || passed < proxy.stallAfter) return
      upstream.pause()
      stalled.add(upstream)
      tell()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  server.unref()
  const proxy: TcpProxy = {
    port: (server.address() as AddressInfo).port,
    get taken() {
      return taken
    },
    refuse: false,
    cutAfter: undefined,
    stallAfter: undefined,
    stalled: () => told,
    cut() {
      for (const socket of open) socket.destroy()
    },
    mend() {
      proxy.refuse = false
      proxy.cutAfter = undefined
      proxy.stallAfter = undefined
      for (const socket of stalled) socket.resume()
      stalled.clear()
      told = new Promise<void>(resolve => {
        tell = resolve
      })
    },
    async stop() {
      server.close()
      proxy.cut()
      await once(server, 'close')
    },
  }
  return proxy
}
