// Copies archives of pg_backup over a connection of a superuser.
//
//     node transfer.js download ID FILE    goes on where FILE ends
//     node transfer.js upload FILE         goes on where an upload of the same file broke; prints
//                                          the new id
//
// PGHOST, PGUSER, PGDATABASE … say where. Needs pg. Memory stays at a few parts.
const { createHash } = require('node:crypto')
const fs = require('node:fs')
const path = require('node:path')
const { Client } = require('pg')

const PART = 1 << 20
// A connection that breaks is made anew so often, after so many milliseconds.
const ATTEMPTS = 10
const PAUSE = 1000

// Calls work(client) until no connection breaks in it. What the server says of a statement is not
// such a thing, unless it says that it ends the session (class 57).
async function patiently(work) {
  for (let attempt = 1; ; attempt++) {
    const client = new Client({ application_name: 'transfer' })
    client.on('error', () => {}) // the query that is under way fails too
    try {
      await client.connect()
      return await work(client)
    } catch (error) {
      const broken = error.severity === undefined || /^(57P|08)/.test(error.code)
      if (!broken || attempt === ATTEMPTS) throw error
      await new Promise((resolve) => setTimeout(resolve, PAUSE))
    } finally {
      await client.end().catch(() => {})
    }
  }
}

async function value(client, text, values) {
  const { rows } = await client.query({ text, values, rowMode: 'array' })
  return rows[0]?.[0]
}

// Writes the archive of a backup to a file, and compares its SHA-256.
async function download(backup, name) {
  const file = fs.openSync(name, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o600)
  let chunk = Math.floor(fs.fstatSync(file).size / PART)
  fs.ftruncateSync(file, chunk * PART) // what is not a whole chunk comes again
  const sql = 'SELECT data FROM backup_download($1, chunk_bytes => $2, from_chunk => $3) LIMIT 1'
  await patiently(async (client) => {
    for (let data; (data = await value(client, sql, [backup, PART, chunk])); chunk++) {
      fs.writeSync(file, data, 0, data.length, chunk * PART)
    }
  })
  fs.closeSync(file)
  const wanted = 'SELECT sha256 FROM backup_history WHERE id = $1'
  if ((await patiently((client) => value(client, wanted, [backup]))) !== (await sha256(name))) {
    throw new Error(`${name} is not what was backed up: remove it and begin anew`)
  }
}

// Sends a file and has it imported; gives the id of the backup.
async function upload(name) {
  const [size, digest] = [fs.statSync(name).size, await sha256(name)]
  const known = 'SELECT max(id) FROM backup_uploads WHERE sha256 = $1 AND size_bytes = $2'
  const begin = 'SELECT backup_upload_begin($1, $2, $3)'
  const id = await patiently(async (client) => {
    const found = await value(client, known, [digest, size])
    return found ?? value(client, begin, [path.basename(name), size, digest])
  })
  const file = fs.openSync(name)
  const missing =
    'SELECT lower(r) AS start, upper(r) AS end FROM backup_uploads, unnest(missing) r WHERE id = $1'
  await patiently(async (client) => {
    for (const range of (await client.query(missing, [id])).rows) {
      for (let at = Number(range.start); at < Number(range.end); at += PART) {
        const data = Buffer.alloc(Math.min(PART, Number(range.end) - at))
        fs.readSync(file, data, 0, data.length, at)
        await client.query('SELECT backup_upload_part($1, $2, $3)', [id, at, data])
      }
    }
  })
  fs.closeSync(file)
  const client = new Client()
  await client.connect()
  try {
    return await value(client, 'SELECT backup_upload_finish($1)', [id])
  } finally {
    await client.end()
  }
}

async function sha256(name) {
  const digest = createHash('sha256')
  for await (const data of fs.createReadStream(name)) digest.update(data)
  return digest.digest('hex')
}

async function main([task, ...words]) {
  if (task === 'download' && words.length === 2) return download(...words)
  if (task === 'upload' && words.length === 1) return console.log(await upload(...words))
  throw new Error('usage: transfer.js download ID FILE | transfer.js upload FILE')
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error.message)
  process.exitCode = 1
})
