"""Measurements of installations of several sizes, read in turns."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from statistics import median
from typing import Any

from benchmarks import database, processes, report

Fill = Callable[[database.Database, int], float]
Rounds = list[list[list[dict[str, Any]]]]  # results by round and size


def parse_options(description: str | None, *, name: str) -> argparse.Namespace:
    """Return the options of the command line; `name` is that of the result files."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--sizes", default="10000,1000000", help="rows of each, separated by commas, smallest first")
    parser.add_argument("--tries", type=int, default=9, help="requests of each kind in one round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--name", default=name, help="name of the result files")
    options = parser.parse_args()
    options.sizes = [int(each) for each in options.sizes.split(",")]
    return options


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
    keep: str | None = None,
) -> tuple[list[database.Database], list[float], Rounds]:
    """Fill all sizes and read them in turns.

    Args:
        stack: Keeps the databases until it is closed.
        options: Of `parse_options`.
        fill: Fills a database with as many rows, and returns the minutes that it took.
        read: Reads a database of a size; returns medians in `p50_ms`.
        keep: What the rows depend on: the databases stay for the next run, which fills others if it differs.

    Returns:
        The databases, the minutes of each, and the results.
    """
    database.start()
    targets, minutes = [], []
    for size in options.sizes:
        name = f"{options.name}_{size}"
        if keep is None:
            targets.append(stack.enter_context(database.fresh_database(name, product=True)))
            minutes.append(fill(targets[-1], size))
        else:
            kept, took = database.kept_database(name, keep, fill=partial(_filled, fill, size))
            targets.append(kept)
            minutes.append(took)
    database.checkpoint()
    runs: Rounds = []
    for number in range(options.rounds):
        runs.append([read(target, size) for target, size in zip(targets, options.sizes, strict=True)])
        report.say(f"round {number + 1} of {options.rounds}")
    return targets, minutes, runs


def _filled(fill: Fill, size: int, target: database.Database) -> float:
    return fill(target, size)


def compare(runs: Sequence[Sequence[Sequence[dict[str, Any]]]]) -> list[dict[str, Any]]:
    """Return the medians over the rounds, by size, and the ratio of the largest to the smallest."""
    rows = []
    for number, first in enumerate(runs[0][0]):
        medians = [median(run[size][number]["p50_ms"] for run in runs) for size in range(len(runs[0]))]
        rows.append({**first, "ms": medians, "ratio": medians[-1] / medians[0]})
    return rows
