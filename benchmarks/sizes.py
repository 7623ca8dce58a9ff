"""Measurements of a small and a large installation, read in turns."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from statistics import median
from typing import Any

from benchmarks import database, processes, report

Fill = Callable[[database.Database, int], float]
Rounds = list[list[list[dict[str, Any]]]]  # results by round and size


def parse_options(description: str | None, *, name: str) -> argparse.Namespace:
    """Return the options of the command line; `name` is that of the result files."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--small", type=int, default=10_000)
    parser.add_argument("--large", type=int, default=1_000_000)
    parser.add_argument("--tries", type=int, default=9, help="requests of each kind in one round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--name", default=name, help="name of the result files")
    return parser.parse_args()


def measured_by(module: str, *arguments: object, target: database.Database) -> list[dict[str, Any]]:
    """Run a module that prints its results as JSON in the last line; return them."""
    found: list[dict[str, Any]] = json.loads(processes.run(module, *arguments, target=target).splitlines()[-1])
    return found


def measure(
    stack: ExitStack,
    options: argparse.Namespace,
    *,
    fill: Fill,
    read: Callable[[database.Database, int], list[dict[str, Any]]],
) -> tuple[list[database.Database], list[float], Rounds]:
    """Fill both sizes and read them in turns.

    Args:
        stack: Keeps the databases until it is closed.
        options: Of `parse_options`.
        fill: Fills a database with as many rows, and returns the minutes that it took.
        read: Reads a database of a size; returns medians in `p50_ms`.

    Returns:
        The databases, the minutes of each, and the results.
    """
    sizes = (options.small, options.large)
    database.start()
    names = (f"{options.name}_{size}" for size in sizes)
    targets = [stack.enter_context(database.fresh_database(name, product=True)) for name in names]
    minutes = [fill(target, size) for target, size in zip(targets, sizes, strict=True)]
    database.checkpoint()
    runs: Rounds = []
    for number in range(options.rounds):
        runs.append([read(target, size) for target, size in zip(targets, sizes, strict=True)])
        report.say(f"round {number + 1} of {options.rounds}")
    return targets, minutes, runs


def compare(runs: Sequence[Sequence[Sequence[dict[str, Any]]]]) -> list[dict[str, Any]]:
    """Return the medians over the rounds, each of a small and a large measurement."""
    rows = []
    for number, first in enumerate(runs[0][0]):
        small, large = (median(run[size][number]["p50_ms"] for run in runs) for size in (0, 1))
        rows.append({**first, "small_ms": small, "large_ms": large, "ratio": large / small})
    return rows
