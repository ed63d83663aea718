#!/usr/bin/env node
// The `cratewright` command of an installed package: Node strips no types inside node_modules, so that it holds compiled files.
// In a checkout the sources are there, and run as they are; compiled files that lie about do not count.
import { existsSync } from 'node:fs'

const major = Number(process.versions.node.split('.')[0])
if (major < 24) {
  console.error(`cratewright needs Node 24 or newer, and this is ${process.version}.`)
  process.exit(3)
}
const source = new URL('../controller/main.ts', import.meta.url)
await import(existsSync(source) ? source.href : new URL('../dist/controller/main.js', import.meta.url).href)
