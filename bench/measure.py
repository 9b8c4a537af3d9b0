"""Timing of pairs, and the peak memory of a runner.

In:  two callables, or a cluster with a backup under way. Out: plain values with their spread.
Holds: what is compared is measured in turns (A B A B …), so that a machine that slows down slows
       both; a ratio is that of neighbours.
"""

import os
import statistics
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# Often enough to see a backup of a tenth of a second; VmHWM itself is a high-water mark.
SAMPLE_SECONDS = 0.01
RUNNER_TITLE = b"pg_backup runner"
STOP_SECONDS = 10


@dataclass(frozen=True)
class Pair:
    """Seconds of A and B, round by round."""

    a: tuple[float, ...]
    b: tuple[float, ...]

    def ratios(self) -> list[float]:
        """A over B, round by round."""
        return [a / b for a, b in zip(self.a, self.b)]

    def medians(self) -> tuple[float, float]:
        """Median seconds of A and of B."""
        return statistics.median(self.a), statistics.median(self.b)


def in_turns(a: Callable[[], float], b: Callable[[], float], rounds: int) -> Pair:
    """Measures A and B `rounds` times, in turns; each callable returns its seconds."""
    os.sync()
    times = [(a(), b()) for _ in range(rounds)]
    return Pair(*zip(*times))


class RunnerMemory:
    """Samples the memory of every runner of a cluster inside a `with` block, in bytes."""

    def __init__(self, postmaster: int):
        self.postmaster = postmaster
        self.peak = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> "RunnerMemory":
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._done.set()
        self._thread.join(STOP_SECONDS)

    def _sample(self) -> None:
        while not self._done.wait(SAMPLE_SECONDS):
            for pid in _runners(self.postmaster):
                self.peak = max(self.peak, _high_water(pid))


def _runners(postmaster: int) -> list[int]:
    children = _read(postmaster, f"task/{postmaster}/children")
    return [pid for pid in map(int, children.split()) if RUNNER_TITLE in _read(pid, "cmdline")]


def _read(pid: int, name: str) -> bytes:
    """A file of /proc; empty when the process is gone."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def _high_water(pid: int) -> int:
    for line in _read(pid, "status").splitlines():
        if line.startswith(b"VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0
