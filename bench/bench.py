"""Measures the claims of README.md and prints them as a Markdown table.

In:  command line (see bench/run.sh). Out: the table on standard output, progress on standard error;
     exit code 1 when a goal is missed.
Holds: ratios of one run on one machine, median of N with the spread; whatever a backup leaves is
       deleted outside the measured time.
"""

import argparse
import sys
from pathlib import Path

import sections
from cluster import Cluster
from table import machine, markdown


def main() -> int:
    options = command_line()
    chosen = options.sections or [name for name in sections.ALL if name != "large"]
    if options.large and "large" not in chosen:
        chosen.append("large")
    with Cluster(options.directory, options.pg_config) as cluster:
        rows = []
        sections.prepare(cluster, chosen)
        for name in chosen:
            print(f"measuring {name}", file=sys.stderr)
            rows += sections.ALL[name](cluster, options.rounds)
        print(machine(cluster, options.rounds))
        print(markdown(rows))
    missed = [row.what for row in rows if not row.met()]
    for what in missed:
        print(f"goal missed: {what}", file=sys.stderr)
    return 1 if missed else 0


def command_line() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="measures the claims of README.md")
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--pg-config", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3, choices=range(1, 100), metavar="N")
    parser.add_argument("--large", action="store_true")
    parser.add_argument("sections", nargs="*", metavar="section", help=", ".join(sections.ALL))
    options = parser.parse_args()
    for name in options.sections:
        if name not in sections.ALL:
            parser.error(f"no section \"{name}\"; there are {', '.join(sections.ALL)}")
    return options


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (RuntimeError, OSError) as error:
        sys.exit(f"bench: {error}")
