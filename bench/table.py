"""Rows of the result and how they are printed.

In:  measured values. Out: Markdown, columns of equal width so that it reads in a terminal as well.
Holds: every value stands with its spread and, where the README promises one, its goal.
"""

import os
import statistics
from dataclasses import dataclass

from cluster import Cluster
from measure import Pair

HEAD = ("What", "Result", "Spread", "Goal", "Measured")


@dataclass(frozen=True)
class Row:
    """One line: a value with its spread, and the goal that it must not exceed."""

    what: str
    value: float
    spread: str
    measured: str
    goal: float | None = None
    unit: str = ""

    def met(self) -> bool:
        """Whether the value is within its goal; true where there is none."""
        return self.goal is None or self.value <= self.goal

    def cells(self) -> tuple[str, ...]:
        """The row as text."""
        goal = "" if self.goal is None else f"≤ {number(self.goal, self.unit)}"
        goal += "" if self.met() else " (missed)"
        return self.what, number(self.value, self.unit), self.spread, goal, self.measured


def number(value: float, unit: str) -> str:
    """Ratios, percentages and short times with two places, others without."""
    if unit == "MB" or abs(value) >= 10:
        return f"{value:.0f} {unit}".strip()
    return f"{value:.2f} {unit}".strip()


def ratio_row(what: str, pair: Pair, goal: float | None = None) -> Row:
    """The row of a pair of times: median of the ratios of neighbours."""
    ratios = pair.ratios()
    a, b = pair.medians()
    return Row(what, statistics.median(ratios), f"{min(ratios):.2f}–{max(ratios):.2f}",
               f"{a:.2f} s : {b:.2f} s", goal)


def markdown(rows: list[Row]) -> str:
    """The table."""
    lines = [HEAD, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    text = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |"
            for line in lines]
    text.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(text)


def machine(cluster: Cluster, rounds: int) -> str:
    """One sentence: where, with what and how often."""
    cores = len(os.sched_getaffinity(0))
    version = cluster.value("postgres", "SHOW server_version").split(" ", maxsplit=1)[0]
    size = cluster.value("postgres", "SELECT pg_size_pretty(pg_database_size('bench'))"
                         " FROM pg_database WHERE datname = 'bench'")
    about = f"about 750 MB of COPY data ({size} on disk), " if size else ""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    return (f"PostgreSQL {version}, {cores} cores, {memory} GB of memory, {about}"
            f"median of N = {rounds}, measured in turns, spread min–max.\n")
