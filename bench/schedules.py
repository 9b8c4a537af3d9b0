"""Schedules, history and retention: what they cost and how long they take.

In:  a running cluster. Out: rows for the table.
Holds: times are taken inside the server, median of N; the idle time of the launcher is processor
       time of its process, from /proc; the databases made here are dropped at the end.
"""

import os
import time
from pathlib import Path

from cluster import Cluster
from table import Row

HOME = "bench_schedules"
SCHEDULES = 10_000
HISTORY_ROWS = 100_000
IDLE_SECONDS = 60
# It reads again five seconds after it could not.
SETTLED_SECONDS = 8
# Databases that fall due together, and minutes in which they do.
DUE_DATABASES = 4
DUE_MINUTES = 3
# A run that has not begun by then is not late but lost.
LOST_SECONDS = 90

# Spread over the year, none of them near: what is measured is waiting.
SPREAD = f"""
INSERT INTO backup_schedule_entries (name, cron, timezone, enabled, on_overlap, catch_up, retries,
       at_start, options, requested_by, home, last_due)
SELECT 'schedule ' || i, format('%s %s %s %s *', i % 60, i % 24, 1 + i % 28,
       1 + (extract(month FROM now())::int + 1 + i % 9) % 12), 'Europe/Paris', true, 'skip',
       '1 day', 0, false, '{{}}', 'postgres', current_database(), now()
  FROM generate_series(1, {SCHEDULES}) i"""

HISTORY = f"""
INSERT INTO backup_runs (kind, database, status, origin, schedule, requested_by, queued_at,
       started_at, finished_at, file, file_state, size_bytes, sha256)
SELECT 'backup', 'database ' || i % 20, CASE WHEN i % 49 = 0 THEN 'failed' ELSE 'succeeded' END,
       'schedule', 'schedule ' || i % 20, 'postgres', t, t, t + '1 minute', 'x/' || i,
       CASE WHEN i % 49 = 0 THEN NULL WHEN i < {HISTORY_ROWS} - 20000 THEN 'pruned'
            ELSE 'available' END, 1000000, md5(i::text)
  FROM generate_series(1, {HISTORY_ROWS}) i,
       LATERAL (SELECT now() - ({HISTORY_ROWS} - i) * interval '5 minutes' AS t) times;
UPDATE backup_schedule_entries SET keep_last = 10, keep_daily = 7, keep_weekly = 4, keep_monthly = 12,
       keep_within = '3 days';
ANALYZE"""

TIMER = """
CREATE FUNCTION bench_ms(statement text, rounds int) RETURNS float LANGUAGE plpgsql AS $$
DECLARE
    began timestamptz;
    times float[];
BEGIN
    FOR i IN 0..rounds LOOP
        began := clock_timestamp();
        EXECUTE statement;
        times := times || 1000 * extract(epoch FROM clock_timestamp() - began)::float;
    END LOOP;
    -- The first one fills the caches.
    RETURN (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY t) FROM unnest(times[2:]) t);
END $$"""


def schedules(cluster: Cluster, rounds: int) -> list[Row]:
    """10,000 schedules: idle time, lateness, previews; 100,000 rows of history."""
    databases = [HOME, *(f"bench_due_{i}" for i in range(DUE_DATABASES))]
    try:
        for database in databases:
            cluster.timed_sql("postgres", f"CREATE DATABASE {database}")
        cluster.timed_sql(HOME, "CREATE EXTENSION pg_backup", TIMER, SPREAD)
        return [idle(cluster), lateness(cluster), *looks(cluster, 10 * rounds)]
    finally:
        for database in databases:
            cluster.timed_sql("postgres", f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")


def idle(cluster: Cluster) -> Row:
    """Part of one core that the launcher takes while nothing is due."""
    pid = int(cluster.value("postgres", """SELECT pid FROM pg_stat_activity
                                            WHERE backend_type = 'pg_backup launcher'"""))
    before = settled(pid)
    time.sleep(IDLE_SECONDS)
    used = processor_seconds(pid) - before
    return Row(f"{SCHEDULES:,} schedules: the launcher while nothing is due, of a core",
               100 * used / IDLE_SECONDS, "", f"{1000 * used:.0f} ms in {IDLE_SECONDS} s", 0.1, "%")


def settled(pid: int) -> float:
    """Processor time of the launcher when it has read the new schedules and sleeps."""
    limit = time.monotonic() + IDLE_SECONDS
    used = processor_seconds(pid)
    while time.monotonic() < limit:
        time.sleep(SETTLED_SECONDS)
        before, used = used, processor_seconds(pid)
        if used == before:
            return used
    raise RuntimeError("the launcher does not come to rest")


def processor_seconds(pid: int) -> float:
    """User and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def lateness(cluster: Cluster) -> Row:
    """From the due time to the begin of the run, the longest of all."""
    cluster.timed_sql("postgres", f"ALTER SYSTEM SET pg_backup.database_jobs = {DUE_DATABASES}",
                      "SELECT pg_reload_conf()")
    for i in range(DUE_DATABASES):
        cluster.timed_sql(HOME, f"CALL backup_schedule('due {i}', '* * * * *', "
                                f"database => 'bench_due_{i}', keep_last => 1)")
    wanted = DUE_DATABASES * DUE_MINUTES
    done = "FROM backup_runs WHERE schedule LIKE 'due%' AND kind = 'backup' AND origin = 'schedule'"
    limit = time.monotonic() + 60 * DUE_MINUTES + LOST_SECONDS
    while int(cluster.value(HOME, f"SELECT count(*) {done}")) < wanted:
        if time.monotonic() > limit:
            raise RuntimeError("a due run did not begin")
        time.sleep(1)
    for i in range(DUE_DATABASES):
        cluster.timed_sql(HOME, f"CALL backup_unschedule('due {i}')")
    cluster.timed_sql("postgres", "ALTER SYSTEM RESET pg_backup.database_jobs",
                      "SELECT pg_reload_conf()")
    late = "1000 * extract(epoch FROM started_at - queued_at)"
    text = cluster.value(HOME, f"SELECT max({late}) || ' ' || min({late}) || ' ' || count(*) {done}")
    longest, shortest, count = map(float, text.split())
    return Row(f"{SCHEDULES:,} schedules: a due run begins after", longest,
               f"{shortest:.0f}–{longest:.0f}",
               f"the longest of {count:.0f}, {DUE_DATABASES} due together", 1000, "ms")


def looks(cluster: Cluster, rounds: int) -> list[Row]:
    """Previews and pages of the history."""
    def ms(statement: str) -> float:
        return float(cluster.value(HOME, f"SELECT bench_ms($x${statement}$x$, {rounds})"))

    previews = ms("SELECT count(*) FROM backup_next_runs('0 3 * * *', 'Europe/Paris', 1000)")
    cluster.timed_sql(HOME, HISTORY)
    history = f"{HISTORY_ROWS:,} rows of history: "
    return [
        Row("`backup_next_runs()`, 1,000 times", previews, "", "", 20, "ms"),
        Row(f"{history}`SELECT * FROM backup_history LIMIT 20`",
            ms("SELECT * FROM backup_history LIMIT 20"), "", "", 5, "ms"),
        Row(f"{history}a page by database and status",
            ms("SELECT * FROM backup_history WHERE database = 'database 7' "
               "AND status = 'failed' LIMIT 20"), "", "", 10, "ms"),
        Row(f"{history}retention of one schedule",
            ms("SELECT count(*) FROM backup_retention('schedule 7')"), "", "1,000 archives", 100,
            "ms"),
    ]
