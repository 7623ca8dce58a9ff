"""Result files and tables of measurements."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import database
from benchmarks.environments import HERE, ROOT, pinned, python_of

RESULTS = HERE / "results"

Run = Mapping[str, Any]


def say(text: str) -> None:
    """Print a line, and flush."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def speed(run: Run) -> float:
    """Return the steps per second of a run."""
    return float(run["executions"] * run["steps"] / run["seconds"])


def machine() -> str:
    """Describe the machine and the versions in a sentence."""
    cpu = "an unknown processor"
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("model name"):
                cpu = line.partition(":")[2].strip()
                break
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, commit {commit or 'unknown'}; {os.cpu_count()} cores ({cpu}) for the database "
        f"and all measured processes; {platform.system()}, Python {platform.python_version()}, "
        f"Django {pinned(ROOT / 'requirements.txt', 'Django')}, PostgreSQL {database.server_version()} with fsync on."
    )


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table; the first column is left-aligned, the others are right-aligned."""
    head = ["| " + " | ".join(columns) + " |", "|---|" + "---:|" * (len(columns) - 1)]
    return "\n".join([*head, *("| " + " | ".join(str(each) for each in row) + " |" for row in rows)])


def comparison(runs: Sequence[Run], *, rounds: int) -> str:
    """Return the comparison of systems, with one table per workload."""
    parts = [
        f"Medians of {rounds} round(s). Each round ran every system once, one after the other. The duration of a step "
        "runs from its start to the start of the next step. CPU is that of the process, and that of all processes "
        "of PostgreSQL."
    ]
    for executions, steps in dict.fromkeys((run["executions"], run["steps"]) for run in runs):
        selected = [run for run in runs if (run["executions"], run["steps"]) == (executions, steps)]
        parts.append(f"## {executions} executions × {steps} steps, 20 in flight")
        columns = ("system", "steps/s", "min – max", "to Scriptorium", "step p50 / p99, ms",
                   "CPU s per 1,000 steps, own + database", "peak MiB")  # fmt: skip
        parts.append(table(columns, _rows(selected)))
        parts.append("Rows that each system stored (tables with at least one row per execution):")
        parts.append("\n".join(_stored_rows(selected)))
    return "\n\n".join(parts)


def _rows(runs: Sequence[Run]) -> Iterable[Sequence[object]]:
    by_system = {key: [run for run in runs if run["system"] == key] for key in dict.fromkeys(r["system"] for r in runs)}
    baseline = statistics.median(speed(run) for run in by_system.get("queue") or runs)
    for group in by_system.values():
        speeds = [speed(run) for run in group]
        steps = group[0]["executions"] * group[0]["steps"] / 1000
        own, base = _median(group, "cpu_seconds") / steps, _median(group, "database_cpu_seconds") / steps
        yield (
            group[0]["title"],
            f"{statistics.median(speeds):,.0f}",
            f"{min(speeds):,.0f} – {max(speeds):,.0f}",
            f"{statistics.median(speeds) / baseline:.2f}",
            f"{_median(group, 'p50_ms'):.1f} / {_median(group, 'p99_ms'):.1f}",
            f"{own:.2f} + {base:.2f}",
            "–" if group[0]["peak_rss_mib"] is None else f"{_median(group, 'peak_rss_mib'):.0f}",
        )


def _median(runs: Iterable[Run], key: str) -> float:
    return statistics.median(run[key] for run in runs)


def _stored_rows(runs: Sequence[Run]) -> Iterable[str]:
    for run in {run["system"]: run for run in runs}.values():
        rows = {name: count for name, count in run["rows"].items() if count >= run["executions"]}
        counts = ", ".join(f"{name} {count:,}" for name, count in rows.items())
        yield f"- {run['title']}: {counts or 'none in PostgreSQL'}"


def write(name: str, text: str, raw: Mapping[str, Any]) -> None:
    """Write the raw measurements and the text of a result; print the text."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(raw, indent=1) + "\n", encoding="utf-8")
    text = f"{text}\n\n{raw['machine']}\n"
    (RESULTS / f"{name}.md").write_text(text, encoding="utf-8")
    say("\n" + text)


def draw(name: str, *, chart: Path = HERE / "chart.py") -> None:
    """Draw the chart of a result."""
    subprocess.run([python_of("chart"), chart, RESULTS / f"{name}.json", RESULTS / f"{name}.png"], check=True)
