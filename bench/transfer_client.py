"""One timed transfer over a connection of its own.

In:  transfer_client.py SOCKET download ID | copy_out | upload FILE | copy_in FILE. Out: JSON with the
     seconds of the transfer and the peak memory of the backend, bytes.
"""

import json
import os
import sys
import time

import psycopg

PART = 1 << 20


def copied(db, query):
    """Takes everything that a COPY gives."""
    with db.cursor() as cursor, cursor.copy(query) as copy:
        for _ in copy:
            pass


def download(db, backup):
    """What backup_download() gives."""
    copied(db, f"COPY (SELECT data FROM backup_download({int(backup)})) TO STDOUT (FORMAT binary)")


def copy_out(db):
    """The same bytes from a table."""
    copied(db, "COPY (SELECT data FROM transfer_out) TO STDOUT (FORMAT binary)")


def upload(db, path):
    """Parts of an upload that is not finished: an import is another matter."""
    sql = "SELECT backup_upload_begin('bench', %s, %s)"
    new = db.execute(sql, (os.path.getsize(path), "0" * 64)).fetchone()[0]
    for at, data in parts(path):
        db.execute("SELECT backup_upload_part(%s, %s, %b)", (new, at, data))
    db.execute("SELECT backup_upload_abort(%s)", (new,))


def copy_in(db, path):
    """The same bytes into a table."""
    db.execute("CREATE TABLE transfer_in (n bigint, data bytea)")
    db.execute("ALTER TABLE transfer_in ALTER data SET STORAGE EXTERNAL")
    with db.cursor() as cursor:
        with cursor.copy("COPY transfer_in FROM STDIN (FORMAT binary)") as copy:
            copy.set_types(["int8", "bytea"])
            for at, data in parts(path):
                copy.write_row((at, data))
    db.execute("DROP TABLE transfer_in")


def parts(path):
    """A file in pieces, each with its place."""
    with open(path, "rb") as file:
        at = 0
        while data := file.read(PART):
            yield at, data
            at += len(data)


def peak(pid):
    """VmHWM of a process, in bytes."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        lines = [line for line in status if line.startswith("VmHWM:")]
    return int(lines[0].split()[1]) * 1024


def main():
    socket, task, *words = sys.argv[1:]
    tasks = {"download": download, "copy_out": copy_out, "upload": upload, "copy_in": copy_in}
    with psycopg.connect(host=socket, dbname="postgres", autocommit=True) as db:
        began = time.monotonic()
        tasks[task](db, *words)
        took = time.monotonic() - began
        print(json.dumps({"seconds": took, "peak": peak(db.info.backend_pid)}))


if __name__ == "__main__":
    main()
