"""Restores: what they cost, how long a swap takes, and how long nobody is served.

In:  a running cluster with the database bench. Out: rows for the table.
Holds: both sides read an archive of the same content, with as many connections, and end with
       ANALYZE; ours also reads the archive against its checksum and counts the rows. The databases
       made here are dropped.
"""

import os
import subprocess
import threading
import time
from collections.abc import Callable

from cluster import Cluster
from measure import in_turns
from table import Row, ratio_row

LIVE = "bench_live"
COPY = "bench_copy"
# A disk that writes back now and then makes single rounds differ by half: the median of more of
# them is the same from run to run.
ROUNDS_PER_ROUND = 3
# More would compete with the restore for the processors.
CLIENTS = 2
SWAPS = 5
CONNECT_SECONDS = 10


def restore(cluster: Cluster, rounds: int) -> list[Row]:
    """Restores against createdb and pg_restore; swaps; the time without service."""
    rows = []
    for left in (COPY, LIVE):
        # Of a run that was interrupted.
        cluster.timed_sql("postgres", f"DROP DATABASE IF EXISTS {left} WITH (FORCE)")
    backup = cluster.value("postgres", "SELECT backup_create(database => 'bench')")
    for jobs in (1, 2):
        pair = in_turns(lambda: ours(cluster, backup, jobs), lambda: stock(cluster, jobs),
                        rounds * ROUNDS_PER_ROUND)
        what = (f"restore with `jobs => {jobs}` : createdb, `pg_restore -j {jobs}`, ANALYZE, time "
                f"(N = {rounds * ROUNDS_PER_ROUND})")
        rows.append(ratio_row(what, pair, 1.10))
    (cluster.run / "bench.dump").unlink()
    return rows + service(cluster, backup)


def ours(cluster: Cluster, backup: str, jobs: int) -> float:
    """Seconds of a restore into a new database."""
    settle(cluster)
    took = cluster.timed_sql(
        "postgres", f"CALL backup_restore({backup}, target => '{COPY}', jobs => {jobs})")
    cluster.timed_sql("postgres", f"DROP DATABASE {COPY}")
    return took


def stock(cluster: Cluster, jobs: int) -> float:
    """Seconds of the same by hand, from an archive that pg_dump made."""
    file = cluster.run / "bench.dump"
    if not file.exists():
        cluster.call("pg_dump", "-Fc", "-f", file, *cluster.connection("bench"))
    settle(cluster)
    took = by_hand(cluster, COPY, jobs)
    cluster.timed_sql("postgres", f"DROP DATABASE {COPY}")
    return took


def settle(cluster: Cluster) -> None:
    """Writes out what earlier rounds have left, so that none pays for another."""
    cluster.timed_sql("postgres", "CHECKPOINT")
    os.sync()


def by_hand(cluster: Cluster, database: str, jobs: int) -> float:
    """Seconds of createdb, pg_restore and ANALYZE."""
    took = cluster.timed_sql("postgres", f"CREATE DATABASE {database} TEMPLATE template0")
    took += cluster.call("pg_restore", "-e", "-j", jobs, *cluster.connection(database),
                         cluster.run / "bench.dump")
    return took + cluster.timed_sql(database, "ANALYZE")


def service(cluster: Cluster, backup: str) -> list[Row]:
    """Swaps and rollbacks under clients that connect again and again, and drop-and-restore."""
    cluster.timed_sql("postgres", f"CALL backup_restore({backup}, target => '{LIVE}')")
    replaced = watched(cluster, lambda: replace(cluster, backup))
    swaps, watches = [], []
    for _ in range(SWAPS):
        began = time.monotonic()
        watches.append(watched(cluster, lambda: rollback(cluster)))
        swaps.append(time.monotonic() - began - Watch.SETTLE)
    cluster.call("pg_dump", "-Fc", "-f", cluster.run / "bench.dump", *cluster.connection("bench"))
    dropped = watched(cluster, lambda: drop_and_restore(cluster))
    (cluster.run / "bench.dump").unlink()
    for kept in (LIVE, *kept_databases(cluster)):
        cluster.timed_sql("postgres", f"ALTER DATABASE \"{kept}\" ALLOW_CONNECTIONS true",
                          f"DROP DATABASE \"{kept}\" WITH (FORCE)")
    swaps.sort()
    without = max(watch.without for watch in watches)
    return [
        Row("a rollback, as the caller waits for it", swaps[len(swaps) // 2],
            f"{swaps[0]:.2f}–{swaps[-1]:.2f}", f"{SWAPS} swaps", 1.0, "s"),
        Row("time without service in a rollback", without, "", "the longest", 0.5, "s"),
        Row("time without service in a replace", replaced.without, "",
            f"{replaced.failed} of {replaced.tried} connects failed", 0.5, "s"),
        Row("failed connects during a replace", 100 * replaced.failed / replaced.tried, "",
            f"{CLIENTS} clients", 1.0, "%"),
        Row("time without service in a drop-and-restore by hand", dropped.without, "",
            f"{dropped.failed} of {dropped.tried} connects failed", None, "s"),
    ]


def replace(cluster: Cluster, backup: str) -> None:
    """Restores in the place of the live database."""
    cluster.timed_sql("postgres", f"CALL backup_restore({backup}, replace => '{LIVE}')")


def rollback(cluster: Cluster) -> None:
    """Swaps back what was swapped last."""
    newest = cluster.value("postgres", f"""SELECT restore_id FROM backup_rollback_points
                           WHERE database = '{LIVE}' ORDER BY restore_id DESC LIMIT 1""")
    cluster.timed_sql("postgres", f"CALL backup_rollback({newest})")


def drop_and_restore(cluster: Cluster) -> None:
    """What is done without us."""
    cluster.timed_sql("postgres", f"DROP DATABASE {LIVE} WITH (FORCE)")
    by_hand(cluster, LIVE, 1)


def kept_databases(cluster: Cluster) -> list[str]:
    """Names of the databases that are kept for the live one."""
    names = cluster.value("postgres", f"""SELECT string_agg(kept_as, ' ')
                          FROM backup_rollback_points WHERE database = '{LIVE}'""")
    return names.split()


class Watch:
    """Clients that connect again and again, and what they met."""

    # Long enough that the last gap is closed by a connect.
    SETTLE = 0.3

    def __init__(self, cluster: Cluster):
        self.cluster = cluster
        self.tried = self.failed = 0
        self.without = 0.0
        self._good: list[float] = []
        self._lock = threading.Lock()
        self._done = threading.Event()

    def client(self) -> None:
        """One of them."""
        while not self._done.is_set():
            began = time.monotonic()
            good = self._connects()
            with self._lock:
                self.tried += 1
                self.failed += not good
                if good:
                    self._good += [began, time.monotonic()]

    def _connects(self) -> bool:
        try:
            self.cluster.probe(LIVE, CONNECT_SECONDS)
            return True
        except (RuntimeError, subprocess.TimeoutExpired):
            return False

    def end(self) -> None:
        """The longest time between two good connects."""
        self._done.set()
        good = sorted(self._good)
        self.without = max(later - earlier for earlier, later in zip(good, good[1:]))


def watched(cluster: Cluster, work: Callable[[], None]) -> Watch:
    """Does the work under clients that connect."""
    watch = Watch(cluster)
    threads = [threading.Thread(target=watch.client, daemon=True) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    work()
    time.sleep(Watch.SETTLE)
    watch.end()
    for thread in threads:
        thread.join(CONNECT_SECONDS)
    return watch
