"""Tables of the stream measurements, with their targets."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from benchmarks.report import table

Run = Mapping[str, Any]


def comparison(runs: Sequence[Run]) -> str:
    """Return the report, with a section for each measured part."""
    parts = [
        "Medians of the rounds; min and max are in brackets. Each round ran every server once, one after the other. "
        "CPU is that of the server's process only. Milliseconds run from the start of the commit until the client "
        "has the event."
    ]
    for piece, describe in _PIECES.items():
        if selected := [run for run in runs if run["piece"] == piece]:
            parts.append(describe(selected))
    return "\n\n".join(parts)


def _clients(runs: Sequence[Run]) -> str:
    first = runs[0]
    columns = ("server", "CPU per delivery, µs", "to sse-starlette", "to plain asyncio", "p50 / p99, ms",
               "KiB per client", "threads", "database connections", "lost + repeated",
               "clients × events, rounds")  # fmt: skip
    cost = {key: _median(group, "cpu_us_per_delivery") for key, group in _by_server(runs).items()}

    def row(key: str, group: Sequence[Run]) -> Sequence[object]:
        return (
            group[0]["title"],
            _spread(group, "cpu_us_per_delivery"),
            _ratio(cost[key], cost.get("sse")),
            _ratio(cost[key], cost.get("bare")),
            f"{_median(group, 'p50_ms'):.0f} / {_median(group, 'p99_ms'):.0f}",
            _spread(group, "kib_per_client"),
            f"{_median(group, 'threads'):.0f}",
            f"{_median(group, 'connections'):.0f}",
            f"{sum(each['lost'] for each in group)} + {sum(each['repeated'] for each in group)}",
            f"{group[0]['clients']:,} × {group[0]['events']}, {len(group)}",
        )

    rows = [row(key, group) for key, group in _by_server(runs).items()]
    head = f"## One execution, {first['clients']:,} clients, {first['per_second']:g} events per second"
    target = (
        "Target on daphne: 0.7 of sse-starlette, 3 times plain asyncio, 25 KiB, no thread and no database connection "
        "per client."
    )
    return f"{head}\n\n{target}\n\n{table(columns, rows)}"


def _many(runs: Sequence[Run]) -> str:
    columns = ("server, one process", "clients", "all connected after, s", "lost + repeated", "p50 / p99, ms",
               "CPU per delivery, µs", "KiB per client", "threads", "database connections")  # fmt: skip
    rows = [
        (
            run["title"],
            f"{run['clients']:,}",
            f"{run['opened_seconds']:.0f}",
            f"{run['lost']} + {run['repeated']}",
            f"{run['p50_ms']:.0f} / {run['p99_ms']:.0f}",
            f"{run['cpu_us_per_delivery']:.0f}",
            f"{run['kib_per_client']:.0f}",
            run["threads"],
            run["connections"],
        )
        for run in runs
    ]
    return f"## Max clients of one process\n\n{table(columns, rows)}"


def _latency(runs: Sequence[Run]) -> str:
    columns = ("server", "events per second", "p50, ms", "p99, ms", "p99 to sse-starlette", "lost + repeated")
    groups = _by_server(runs)
    theirs = _median(groups["sse"], "p99_ms") if "sse" in groups else None
    rows = [
        (
            group[0]["title"],
            f"{_median(group, 'per_second'):.0f}",
            _spread(group, "p50_ms"),
            _spread(group, "p99_ms"),
            _ratio(_median(group, "p99_ms"), theirs),
            f"{sum(each['lost'] for each in group)} + {sum(each['repeated'] for each in group)}",
        )
        for group in groups.values()
    ]
    target = "20 executions with one client each. Target: p99 of at most 15 ms."
    return f"## From the commit to the client\n\n{target}\n\n{table(columns, rows)}"


def _stalled(runs: Sequence[Run]) -> str:
    columns = ("server", "memory growth, MiB", "reading client: lost + repeated")
    rows = [
        (run["title"], f"{run['grown_mib']:.1f}", f"{run['lost']} + {run['repeated']}")
        for run in runs
    ]  # fmt: skip
    head = f"## One client that does not read, {runs[0]['megabytes']:g} MB published"
    return f"{head}\n\nAnother client reads. Target: at most 5 MiB.\n\n{table(columns, rows)}"


def _notifier(runs: Sequence[Run]) -> str:
    columns = ("listening web processes", "transitions per second: without", "with notifications", "with to without",
               "CPU ms per transition, without: journal + database", "with: journal + database",
               "all web processes")  # fmt: skip
    rows = []
    for listeners in dict.fromkeys(run["listeners"] for run in runs):
        group = [run for run in runs if run["listeners"] == listeners]
        ratios = [_speed(run["announced"]) / _speed(run["quiet"]) for run in group]
        rows.append(
            (
                listeners,
                f"{statistics.median(_speed(run['quiet']) for run in group):,.0f}",
                f"{statistics.median(_speed(run['announced']) for run in group):,.0f}",
                f"{statistics.median(ratios):.2f} ({min(ratios):.2f} – {max(ratios):.2f})",
                _cpu(group, "quiet"),
                _cpu(group, "announced"),
                f"{statistics.median(_ms(run['web_cpu_seconds'], run['announced']) for run in group):.2f}",
            )
        )
    target = (
        "Only the journal, with 20 executions in flight, in short alternating batches with and without notifications. "
        "The web processes share the cores with the journal. Target: at least 0.9 of the speed."
    )
    return f"## Cost of notifications for the journal\n\n{target}\n\n{table(columns, rows)}"


def _speed(batch: Mapping[str, float]) -> float:
    return batch["transitions"] / batch["seconds"]


def _ms(seconds: float, batch: Mapping[str, float]) -> float:
    return seconds / batch["transitions"] * 1000


def _cpu(runs: Sequence[Run], kind: str) -> str:
    own, base = (
        statistics.median(_ms(run[kind][key], run[kind]) for run in runs)
        for key in ("cpu_seconds", "database_cpu_seconds")
    )
    return f"{own:.2f} + {base:.2f}"


def _by_server(runs: Iterable[Run]) -> dict[str, list[Run]]:
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run["server"], []).append(run)
    return groups


def _median(runs: Iterable[Run], key: str) -> float:
    return statistics.median(run[key] for run in runs)


def _spread(runs: Sequence[Run], key: str) -> str:
    values = [run[key] for run in runs]
    return f"{statistics.median(values):.1f} ({min(values):.1f} – {max(values):.1f})"


def _ratio(value: float, to: float | None) -> str:
    return f"{value / to:.2f}" if to else "–"


_PIECES: dict[str, Callable[[Sequence[Run]], str]] = {
    "clients": _clients,
    "many": _many,
    "latency": _latency,
    "stalled": _stalled,
    "notifier": _notifier,
}
