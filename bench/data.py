"""The databases that the bench measures with.

In:  a running cluster. Out: databases bench (about 750 MB of COPY data), bench_small (about 100 MB
     on disk), bench_big (about 2 GB), bench_empty, and bench_large on request; the extension in
     database postgres.
Holds: a database is kept from run to run as long as what it is made from has not changed; its
       comment holds the fingerprint.
"""

import hashlib
import sys
from pathlib import Path

from cluster import FAST_LOAD, Cluster

TABLES = ("accounts", "events", "documents", "measurements")
DATA_SQL = (Path(__file__).parent / "data.sql").read_text(encoding="utf-8")

# On disk: 911 MB at scale 1.
SMALL_SCALE = 0.11
# Copies of the tables, without indexes, beside the originals.
BIG_SQL = "".join(f"CREATE TABLE {table}_2 AS TABLE {table};\n" for table in TABLES) + """
CREATE TABLE events_3 AS SELECT * FROM events WHERE id % 10 < 8;
"""
# Hexadecimal in COPY doubles it: 2300 values of 1 MB become an archive of 4.6 GB. Every value
# starts at another place of the same noise, and none is compressed on the way into the table.
LARGE_SQL = """
CREATE TABLE noise AS
SELECT string_agg(sha512(int8send(n)), NULL ORDER BY n) AS bytes
FROM generate_series(1, 16384) AS n;
CREATE TABLE blobs (id integer PRIMARY KEY, bytes bytea);
ALTER TABLE blobs ALTER COLUMN bytes SET STORAGE EXTERNAL;
INSERT INTO blobs
SELECT n, substr(bytes, 1 + n * 449) || substr(bytes, 1, n * 449)
FROM generate_series(1, 2300) AS n, noise;
"""


def ensure(cluster: Cluster, wanted: set[str]) -> None:
    """Makes those of the `wanted` databases that are not there as described, and the extension."""
    recipes = {
        "bench": (DATA_SQL, {"scale": "1"}),
        "bench_small": (DATA_SQL, {"scale": str(SMALL_SCALE)}),
        "bench_big": (DATA_SQL + BIG_SQL, {"scale": "1"}),
        "bench_empty": ("", {}),
        "bench_large": (LARGE_SQL, {}),
    }
    missing = [name for name in recipes if name in wanted and not _is_there(cluster, name, recipes)]
    if missing:
        cluster.stop()
        cluster.start(FAST_LOAD)
        for name in missing:
            _make(cluster, name, *recipes[name])
        cluster.stop()
        cluster.start()
    cluster.timed_sql("postgres", "SET client_min_messages = warning",
                      "DROP EXTENSION IF EXISTS pg_backup CASCADE", "CREATE EXTENSION pg_backup")


def _fingerprint(text: str, variables: dict) -> str:
    return hashlib.sha256(f"{text}{variables}".encode()).hexdigest()


def _is_there(cluster: Cluster, name: str, recipes: dict) -> bool:
    comment = cluster.value("postgres", f"""
        SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = '{name}'""")
    return comment == _fingerprint(*recipes[name])


def _make(cluster: Cluster, name: str, text: str, variables: dict) -> None:
    print(f"making database {name}", file=sys.stderr)
    cluster.timed_sql("postgres", f"DROP DATABASE IF EXISTS {name}",
                      f"CREATE DATABASE {name} TEMPLATE template0")
    if text:
        cluster.load(name, text, **variables)
    # Hint bits and statistics now, so that no measured run and no autovacuum writes them.
    cluster.timed_sql(name, "VACUUM (ANALYZE)", "CHECKPOINT")
    cluster.timed_sql(
        name, f"COMMENT ON DATABASE {name} IS '{_fingerprint(text, variables)}'")
