"""What is measured, one function per group of rows.

In:  a running cluster with the databases of data.py. Out: rows for the table.
Holds: the goals are those of the README; both sides of a ratio write to the same disk, and a backup
       includes its verification, because that is what the call does.
"""

import zipfile
from collections.abc import Callable
from pathlib import Path

import catalogue
import data
import restore
import scan
import schedules
import transfer
from cluster import Cluster
from measure import RunnerMemory, in_turns
from table import Row, ratio_row

MB = 1 << 20
LARGE_ARCHIVE_BYTES = 1 << 32
# pg_dump compresses with zstd itself from this version on.
ZSTD_DUMP_VERSION = 160000

Section = Callable[[Cluster, int], list[Row]]


def prepare(cluster: Cluster, chosen: list[str]) -> None:
    """Makes the databases that the chosen sections need, and warms the file cache."""
    needs = {"empty": {"bench_empty"}, "memory": {"bench_small", "bench_big"},
             "schedules": set(), "catalogue": set(), "scan": set(), "large": {"bench_large"}}
    data.ensure(cluster, set().union(*(needs.get(name, {"bench"}) for name in chosen)))
    if set(chosen) - needs.keys():
        raw_copy(cluster)


def raw_copy(cluster: Cluster) -> float:
    """Seconds of COPY of every table to nowhere, on one connection."""
    return cluster.timed_sql("bench", *(f"COPY {table} TO STDOUT" for table in data.TABLES))


class Backups:
    """Backups of one kind, timed; each is deleted as soon as its size is known."""

    def __init__(self, cluster: Cluster, database: str, options: str = ""):
        self.cluster = cluster
        self.call = f"SELECT backup_create(database => '{database}'{options})"
        self.size = 0

    def __call__(self) -> float:
        took = self.cluster.timed_sql("postgres", self.call)
        newest = "FROM backup_history WHERE kind = 'backup' ORDER BY id DESC LIMIT 1"
        self.size = int(self.cluster.value("postgres", f"SELECT size_bytes {newest}"))
        self.delete(self.cluster.value("postgres", f"SELECT id {newest}"))
        return took

    def delete(self, backup: str) -> None:
        """Deletes the archive; the row in the history stays."""
        self.cluster.timed_sql("postgres", f"CALL backup_delete({backup})")


class Dumps:
    """`pg_dump -Fc` of one database into a file beside the data, timed."""

    def __init__(self, cluster: Cluster, database: str):
        self.cluster = cluster
        self.database = database
        self.size = 0

    def __call__(self) -> float:
        file = self.cluster.run / "bench.dump"
        took = self.cluster.call("pg_dump", "-Fc", "-f", file,
                                 *self.cluster.connection(self.database))
        self.size = file.stat().st_size
        file.unlink()
        return took


def default(cluster: Cluster, rounds: int) -> list[Row]:
    """The default backup against pg_dump -Fc: time and size."""
    backups, dumps = Backups(cluster, "bench"), Dumps(cluster, "bench")
    pair = in_turns(backups, dumps, rounds)
    size = Row("default backup : `pg_dump -Fc`, size", backups.size / dumps.size, "",
               f"{backups.size / MB:.0f} MB : {dumps.size / MB:.0f} MB", 0.80)
    return [ratio_row("default backup : `pg_dump -Fc`, time", pair, 0.50), size]


def none(cluster: Cluster, rounds: int) -> list[Row]:
    """Without compression against raw COPY."""
    pair = in_turns(Backups(cluster, "bench", ", compression => 'none'"),
                    lambda: raw_copy(cluster), rounds)
    two = in_turns(Backups(cluster, "bench", ", compression => 'none', jobs => 2"),
                   lambda: raw_copy(cluster), rounds)
    return [ratio_row("`compression => 'none'` : raw COPY to nowhere, time", pair, 1.25),
            ratio_row("the same with `jobs => 2`", two)]


def jobs(cluster: Cluster, rounds: int) -> list[Row]:
    """Two connections against one, and against pg_dump -Fc."""
    one = Backups(cluster, "bench", ", jobs => 1")
    two = Backups(cluster, "bench", ", jobs => 2")
    version = int(cluster.value("postgres", "SHOW server_version_num"))
    goal = 0.35 if version >= ZSTD_DUMP_VERSION else None
    return [ratio_row("`jobs => 2` : `jobs => 1`, time", in_turns(two, one, rounds), 1.0),
            ratio_row("`jobs => 2` : `pg_dump -Fc`, time",
                      in_turns(two, Dumps(cluster, "bench"), rounds), goal)]


def empty(cluster: Cluster, rounds: int) -> list[Row]:
    """What a backup costs when there is nothing to back up. The goal: 2 × pg_dump + 100 ms."""
    backups, dumps = Backups(cluster, "bench_empty"), Dumps(cluster, "bench_empty")
    # The first of each reads programs and catalogs from the disk; that is not what is compared.
    in_turns(backups, dumps, 1)
    pair = in_turns(backups, dumps, rounds)
    beyond = sorted(1000 * (a - 2 * b) for a, b in zip(pair.a, pair.b))
    return [ratio_row("empty database, default backup : `pg_dump -Fc`, time", pair),
            Row("empty database, beyond 2 × `pg_dump -Fc`", beyond[len(beyond) // 2],
                f"{beyond[0]:.0f} to {beyond[-1]:.0f}", "", 100, "ms")]


def memory(cluster: Cluster, rounds: int) -> list[Row]:
    """Peak resident memory of the runner, for a small and a big database."""
    rows = []
    for database in ("bench_small", "bench_big"):
        backup = Backups(cluster, database)
        peaks = []
        for _ in range(rounds):
            with RunnerMemory(cluster.postmaster_pid()) as sampled:
                backup()
            if not sampled.peak:
                raise RuntimeError("no process titled \"pg_backup runner\" was seen")
            peaks.append(sampled.peak / MB)
        size = int(cluster.value("postgres", f"SELECT pg_database_size('{database}')")) / MB
        rows.append(Row(f"peak memory of the runner, database of {size:.0f} MB", max(peaks),
                        f"{min(peaks):.0f}–{max(peaks):.0f}", "VmHWM, the highest", 64, "MB"))
    return rows


def large(cluster: Cluster, _rounds: int) -> list[Row]:
    """One archive over 4 GB: made, read back by another program's reader, verified."""
    took = cluster.timed_sql(
        "postgres", "SELECT backup_create(database => 'bench_large', compression => 'none')")
    backup = cluster.value("postgres", "SELECT max(id) FROM backup_history WHERE kind = 'backup'")
    path = archive_path(cluster, backup)
    with zipfile.ZipFile(path) as archive:
        member = max(archive.infolist(), key=lambda entry: entry.file_size)
    good = cluster.value("postgres", f"SELECT bool_and(ok) FROM backup_verify({backup}, 'read')")
    size = path.stat().st_size
    if good != "t" or size <= LARGE_ARCHIVE_BYTES or member.file_size <= LARGE_ARCHIVE_BYTES:
        raise RuntimeError(f"the archive of {size} bytes is too small or does not verify")
    cluster.timed_sql("postgres", f"CALL backup_delete({backup})")
    return [Row("archive over 4 GB: made and verified", size / MB, "", f"{took:.1f} s", None, "MB")]


def archive_path(cluster: Cluster, backup: str) -> Path:
    """The file of a backup, as its verification names it."""
    return Path(cluster.value("postgres", f"""
        SELECT detail FROM backup_verify({backup}, 'file') WHERE subject = 'file'"""))


ALL: dict[str, Section] = {
    "default": default,
    "none": none,
    "jobs": jobs,
    "empty": empty,
    "memory": memory,
    "schedules": schedules.schedules,
    "restore": restore.restore,
    "catalogue": catalogue.catalogue,
    "scan": scan.scan,
    "transfer": transfer.transfer,
    "large": large,
}
