"""A scan of the backup directory: what it costs to rebuild a history.

In:  a running cluster. Out: rows for the table.
Holds: the archives are copies of one of a small database, under names of their own; database and
       copies made here are gone at the end.
"""

import shutil
import time
from pathlib import Path

from cluster import Cluster
from table import Row

HOME = "bench_scan"
ARCHIVES = 10_000
GOAL_SECONDS = 10
TABLES = "DO $$ BEGIN FOR i IN 1..20 LOOP EXECUTE format('CREATE TABLE t%s AS SELECT i FROM " \
         "generate_series(1, 100) i', i); END LOOP; END $$"


def scan(cluster: Cluster, _rounds: int) -> list[Row]:
    """`backup_scan()` of 10,000 archives: all unknown, then all known."""
    cluster.timed_sql("postgres", f"DROP DATABASE IF EXISTS {HOME} WITH (FORCE)",
                      f"CREATE DATABASE {HOME}")
    folder = None
    try:
        cluster.timed_sql(HOME, TABLES, "CREATE EXTENSION pg_backup", "SELECT backup_create()")
        where = "SELECT detail FROM backup_verify(1, 'file') WHERE subject = 'file'"
        archive = Path(cluster.value(HOME, where))
        folder = archive.parent
        copy_many(cluster, archive)
        before = int(cluster.value(HOME, "SELECT count(*) FROM backup_history"))
        adopts, looks = timed(cluster), timed(cluster)
        after = int(cluster.value(HOME, "SELECT count(*) FROM backup_history"))
        if after - before < ARCHIVES:
            raise RuntimeError(f"{after - before} archives were adopted, not {ARCHIVES}")
        what = f"`backup_scan`, {ARCHIVES:,} archives"
        return [Row(f"{what} without a row", adopts, "", "one run", GOAL_SECONDS, "s"),
                Row(f"{what}, all known", looks, "", "one run", GOAL_SECONDS, "s")]
    finally:
        if folder:
            shutil.rmtree(folder)
        cluster.timed_sql("postgres", f"DROP DATABASE IF EXISTS {HOME} WITH (FORCE)")


def timed(cluster: Cluster) -> float:
    """Seconds of one scan."""
    begin = time.monotonic()
    cluster.value(HOME, "SELECT count(*) FROM backup_scan()")
    return time.monotonic() - begin


def copy_many(cluster: Cluster, archive: Path) -> None:
    """Copies of an archive, which belong to the server."""
    owner = archive.stat()
    for number in range(1, ARCHIVES + 1):
        name = f"{HOME}_20250101T000000Z_{1_000_000 + number}.zip"
        copy = archive.with_name(name)
        shutil.copyfile(archive, copy)
        copy.chmod(0o600)
        shutil.chown(copy, owner.st_uid, owner.st_gid)
