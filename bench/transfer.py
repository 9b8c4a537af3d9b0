"""Downloads and uploads against COPY of the same bytes, through the same client.

In:  a running cluster with the database bench. Out: rows for the table.
Holds: both sides move the same bytes in rows of 1 MiB, in binary, over the same kind of connection; the
       table that COPY reads and writes keeps them uncompressed. What is made here is removed.
"""

import json
from pathlib import Path

from cluster import Cluster
from measure import in_turns
from table import Row, ratio_row

CLIENT = Path(__file__).parent / "transfer_client.py"
# Debian's own, which has psycopg: scripts/test-clients.sh.
PYTHON = "/usr/bin/python3"
MB = 1 << 20
BLOBS = "CREATE TABLE {} (n bigint, data bytea); ALTER TABLE {} ALTER data SET STORAGE EXTERNAL"


class Client:
    """One kind of transfer, timed by the client itself; keeps the largest memory of the backend."""

    def __init__(self, cluster: Cluster, *words: str):
        self.cluster = cluster
        self.words = words
        self.peak = 0

    def __call__(self) -> float:
        path = self.cluster.directory / "stdout.txt"
        with open(path, "w", encoding="utf-8") as stdout:
            self.cluster.call(PYTHON, self.cluster.run / CLIENT.name, self.cluster.run, *self.words,
                              stdout=stdout)
        said = json.loads(path.read_text(encoding="utf-8"))
        self.peak = max(self.peak, said["peak"])
        return said["seconds"]


def transfer(cluster: Cluster, rounds: int) -> list[Row]:
    """Both directions; goal: at least 0.8 times the speed of COPY."""
    cluster.place(CLIENT)
    cluster.timed_sql("postgres",
                      "SELECT backup_create(database => 'bench', compression => 'none')")
    backup = cluster.value("postgres", "SELECT max(id) FROM backup_history WHERE kind = 'backup'")
    size = int(cluster.value("postgres",
                             f"SELECT size_bytes FROM backup_history WHERE id = {backup}"))
    archive = cluster.value("postgres", f"""
        SELECT detail FROM backup_verify({backup}, 'file') WHERE subject = 'file'""")
    cluster.timed_sql("postgres", BLOBS.format("transfer_out", "transfer_out"),
                      f"INSERT INTO transfer_out SELECT * FROM backup_download({backup})",
                      "VACUUM transfer_out", "CHECKPOINT")
    download, copy_out = Client(cluster, "download", backup), Client(cluster, "copy_out")
    upload, copy_in = Client(cluster, "upload", archive), Client(cluster, "copy_in", archive)
    what = f"{size / MB:.0f} MB"
    rows = [ratio_row(f"download of {what} : COPY (FORMAT binary) of the same bytes, time",
                      in_turns(download, copy_out, rounds), 1.25),
            ratio_row(f"upload of {what} : COPY (FORMAT binary) of the same bytes, time",
                      in_turns(upload, copy_in, rounds), 1.25),
            Row(f"peak memory of the backend, {what} down", download.peak / MB, "", "VmHWM", 64, "MB"),
            Row(f"peak memory of the backend, {what} up", upload.peak / MB, "", "VmHWM", 64, "MB")]
    cluster.timed_sql("postgres", "DROP TABLE transfer_out", f"CALL backup_delete({backup})")
    return rows
