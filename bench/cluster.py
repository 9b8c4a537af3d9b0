"""The bench's private PostgreSQL cluster.

In:  a directory of our own and the pg_config of a private tree. Out: a server on a socket in that
     directory; programs run against it, timed from outside.
Holds: no TCP port; every program starts with an empty environment, as OS user postgres when we are
       root; the server is stopped when the `with` block ends, however it ends.
"""

import os
import shutil
import subprocess
import time
from pathlib import Path

SERVER_WAIT_SECONDS = 120
# Generous: the largest single step copies some GB on a slow disk.
PROGRAM_LIMIT_SECONDS = 1800

SETTINGS = """\
cluster_name = 'bench'
listen_addresses = ''
unix_socket_directories = '{run}'
shared_preload_libraries = 'pg_backup'
shared_buffers = 256MB
"""
# While data is generated only: minimal WAL, no waiting for the disk.
FAST_LOAD = "-c fsync=off -c wal_level=minimal -c max_wal_senders=0 -c max_wal_size=8GB"


class Cluster:
    """A stopped or running cluster below `directory`."""

    def __init__(self, directory: Path, pg_config: Path):
        self.bin = pg_config.parent
        self.data = directory / "data"
        self.run = directory / "run"
        self.directory = directory

    def __enter__(self) -> "Cluster":
        if self.is_running():
            self.stop()
        if not (self.data / "PG_VERSION").exists():
            self._create()
        config = SETTINGS.format(run=str(self.run).replace("'", "''"))
        self._write(self.data / "bench.conf", config)
        self.start()
        return self

    def __exit__(self, *_) -> None:
        if self.is_running():
            self.stop()

    def _create(self) -> None:
        for folder in (self.data, self.run):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(mode=0o700)
            if os.getuid() == 0:
                shutil.chown(folder, "postgres", "postgres")
        self.call("initdb", "-D", self.data, "--auth-local=peer", "--auth-host=reject",
                  "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions")
        with open(self.data / "postgresql.conf", "a", encoding="utf-8") as config:
            config.write("include = 'bench.conf'\n")

    def _write(self, path: Path, text: str) -> None:
        path.write_text(text, encoding="utf-8")
        if os.getuid() == 0:
            shutil.chown(path, "postgres", "postgres")

    def place(self, path: Path) -> None:
        """Copies a file to where programs that run as the server's user can read it."""
        self._write(self.run / path.name, path.read_text(encoding="utf-8"))

    def start(self, options: str = "") -> None:
        """Starts the server, with further command line `options`."""
        self.call("pg_ctl", "-D", self.data, "-l", self.run / "server.log", "-w",
                  "-t", str(SERVER_WAIT_SECONDS), "-o", options, "start")

    def stop(self) -> None:
        """Stops the server, fast mode."""
        self.call("pg_ctl", "-D", self.data, "-m", "fast", "-w",
                  "-t", str(SERVER_WAIT_SECONDS), "stop")

    def is_running(self) -> bool:
        """Whether pg_ctl finds a server on the data directory."""
        if not (self.data / "postmaster.pid").exists():
            return False
        status = subprocess.run([self.bin / "pg_ctl", "-D", self.data, "status"],
                                **self._as_server(), check=False, stdout=subprocess.DEVNULL)
        return status.returncode == 0

    def postmaster_pid(self) -> int:
        """Process id of the running postmaster."""
        return int((self.data / "postmaster.pid").read_text(encoding="utf-8").split("\n")[0])

    def call(self, program: str, *arguments, stdout=subprocess.DEVNULL) -> float:
        """Runs a program of the tree to its end; returns its wall time in seconds.

        Raises RuntimeError with its standard error when it fails.
        """
        began = time.monotonic()
        # A file, not a pipe: the postmaster that pg_ctl starts would keep a pipe open.
        with open(self.directory / "stderr.txt", "w+", encoding="utf-8") as stderr:
            done = subprocess.run([self.bin / program, *map(str, arguments)], stdout=stdout,
                                  stderr=stderr, stdin=subprocess.DEVNULL, check=False,
                                  timeout=PROGRAM_LIMIT_SECONDS, **self._as_server())
            took = time.monotonic() - began
            if done.returncode != 0:
                stderr.seek(0)
                raise RuntimeError(f"{program} failed ({done.returncode}): {stderr.read()[-2000:]}")
        return took

    def timed_sql(self, database: str, *statements: str) -> float:
        """Seconds that a psql takes for the statements, its output thrown away."""
        commands = [word for statement in statements for word in ("-c", statement)]
        return self.call("psql", *self._psql(database), *commands)

    def probe(self, database: str, limit: int) -> None:
        """Connects once; raises when that fails or takes more than `limit` seconds."""
        done = subprocess.run(
            [self.bin / "psql", *self._psql(database), "-c", "SELECT 1"], check=False,
            timeout=limit, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            **self._as_server())
        if done.returncode != 0:
            raise RuntimeError(f"no service in database {database}")

    def value(self, database: str, statement: str) -> str:
        """The one value that a statement returns, as text; "" for NULL or no row."""
        path = self.directory / "stdout.txt"
        with open(path, "w", encoding="utf-8") as stdout:
            self.call("psql", *self._psql(database), "-A", "-t", "-c", statement, stdout=stdout)
        return path.read_text(encoding="utf-8").strip()

    def load(self, database: str, text: str, **variables) -> None:
        """Runs an SQL script in one transaction, with psql `variables`."""
        path = self.run / "script.sql"
        self._write(path, text)
        options = [f"--set={name}={value}" for name, value in variables.items()]
        self.call("psql", *self._psql(database), "-1", *options, "-f", path)

    def connection(self, database: str) -> list[str]:
        """Options of pg_dump and its kind for one database."""
        return ["-h", str(self.run), "-d", database]

    def _psql(self, database: str) -> list[str]:
        return ["-X", "-q", "--set=ON_ERROR_STOP=1", *self.connection(database)]

    def _as_server(self) -> dict:
        clean = {"env": {"PATH": f"{self.bin}:/usr/bin:/bin", "LANG": "C.UTF-8"}, "cwd": "/"}
        if os.getuid() == 0:
            clean |= {"user": "postgres", "group": "postgres", "extra_groups": []}
        return clean
