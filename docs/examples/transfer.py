"""Copies archives of pg_backup over a connection of a superuser.

    transfer.py download ID FILE    goes on where FILE ends
    transfer.py upload FILE         goes on where an upload of the same file broke; prints the new id

PGHOST, PGUSER, PGDATABASE … say where. Needs psycopg 3. Memory stays at a few parts.
"""

import hashlib
import os
import sys
import time

import psycopg

PART = 1 << 20
# A connection that breaks is made anew so often, after so many seconds.
ATTEMPTS, PAUSE = 10, 1.0


def patiently(work):
    """Calls work(connection) until no connection breaks in it."""
    for attempt in range(ATTEMPTS):
        try:
            with psycopg.connect(autocommit=True, application_name="transfer") as db:
                return work(db)
        except psycopg.OperationalError:
            if attempt + 1 == ATTEMPTS:
                raise
            time.sleep(PAUSE)


def download(backup, path):
    """Writes the archive of a backup to a file, and compares its SHA-256."""
    with open(path, "ab") as file:
        # What is not a whole chunk comes again.
        file.truncate(file.tell() // PART * PART)

        def rest(db):
            first = file.seek(0, os.SEEK_END) // PART
            sql = "SELECT data FROM backup_download(%s, chunk_bytes => %s, from_chunk => %s)"
            for (data,) in db.cursor().stream(sql, (backup, PART, first), binary=True):
                file.write(data)

        patiently(rest)
    sql = "SELECT sha256 FROM backup_history WHERE id = %s"
    if patiently(lambda db: db.execute(sql, (backup,)).fetchone()[0]) != sha256(path):
        sys.exit(f"{path} is not what was backed up: remove it and begin anew")


def upload(path):
    """Sends a file and has it imported; gives the id of the backup."""
    size, digest = os.path.getsize(path), sha256(path)

    def upload_id(db):
        sql = "SELECT max(id) FROM backup_uploads WHERE sha256 = %s AND size_bytes = %s"
        found = db.execute(sql, (digest, size)).fetchone()[0]
        sql = "SELECT backup_upload_begin(%s, %s, %s)"
        return found or db.execute(sql, (os.path.basename(path), size, digest)).fetchone()[0]

    def rest(db):
        sql = "SELECT lower(r), upper(r) FROM backup_uploads, unnest(missing) r WHERE id = %s"
        for start, end in db.execute(sql, (upload,)).fetchall():
            for at in range(start, end, PART):
                file.seek(at)
                data = file.read(min(PART, end - at))
                db.execute("SELECT backup_upload_part(%s, %s, %b)", (upload, at, data))

    upload = patiently(upload_id)
    with open(path, "rb") as file:
        patiently(rest)
    with psycopg.connect(autocommit=True) as db:
        return db.execute("SELECT backup_upload_finish(%s)", (upload,)).fetchone()[0]


def sha256(path):
    """The SHA-256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while data := file.read(PART):
            digest.update(data)
    return digest.hexdigest()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["download", backup, path]:
            download(int(backup), path)
        case ["upload", path]:
            print(upload(path))
        case _:
            sys.exit(__doc__)
