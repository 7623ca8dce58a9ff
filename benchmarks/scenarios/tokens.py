"""`make bench-tokens`: latency of tokens from the provider to the clients, and number of events."""

from __future__ import annotations

import argparse
import statistics
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from benchmarks import database, report
from benchmarks.metrics import percentile
from tests.e2e.processes import CLOSED_BRIEF, machine, start_execution
from tests.e2e.providers.test_providers import asking
from tests.e2e.streams.long_text import Watcher, delays_of, long_reply, text_of
from tests.integration.llm.model_server import Answer

REST = 0.6  # seconds between the last token and the end of the reply


def max_per_second(times: list[float]) -> int:
    """Return the max number of times within one second."""
    return max(sum(begin <= each < begin + 1.0 for each in times) for begin in times)


def measure(tokens_per_second: float, *, clients: int) -> dict[str, float]:
    """Let a model write 4,000 tokens at a rate, followed by several clients."""
    answer = long_reply()
    text = text_of(answer)
    streamed = Answer(pause=1 / tokens_per_second, rest=REST, streamed=answer)
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        installation = stack.enter_context(machine(Path(folder) / "data"))
        server = stack.enter_context(asking(installation, streamed))
        installation.serve("--no-worker")
        installation.start("worker")
        client = stack.enter_context(installation.client())
        threads = stack.enter_context(ThreadPoolExecutor(clients))
        execution_id = start_execution(client, CLOSED_BRIEF)
        watchers = [Watcher() for _ in range(clients)]
        for done in [threads.submit(each.watch, client, execution_id) for each in watchers]:
            done.result(timeout=300)
        delays = sorted(delay for each in watchers for delay in delays_of(server, each, text))
        elapsed = server.said[0][-1] - server.said[0][0]
    return {
        "tokens_per_second": len(delays) / clients / elapsed,
        "clients": clients,
        "p50_ms": statistics.median(delays) * 1000,
        "p99_ms": percentile(delays, 99) * 1000,
        "events_per_second": max(max_per_second(each.arrived) for each in watchers),
        "events": max(len(each.arrived) for each in watchers),
    }


def row_of(result: dict[str, float]) -> list[str]:
    """Return a row of the table."""
    return [
        f"{result['tokens_per_second']:.0f}",
        f"{result['clients']}",
        f"{result['p50_ms']:.0f} / {result['p99_ms']:.0f}",
        f"{result['events_per_second']}",
        f"{result['events']}",
    ]


def main() -> None:
    """Run the measurements, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rates", type=float, nargs="+", default=[100.0, 1000.0])
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 20])
    wanted = parser.parse_args()
    database.start()
    runs = []
    for rate in wanted.rates:
        for clients in wanted.clients:
            runs.append(measure(rate, clients=clients))
            report.say(" | ".join(row_of(runs[-1])))
    columns = ("tokens/s written", "clients", "token to client, p50 / p99 ms", "max events per second", "events")
    text = (
        "A model writes 4,000 tokens over HTTP, a worker reads them, and a web process streams them. Each client "
        "rebuilds the exact text; latency runs from the time at which the model server has sent a token.\n\n"
        f"{report.table(columns, map(row_of, runs))}"
    )
    report.write("tokens", text, {"machine": report.machine(), "runs": runs})


if __name__ == "__main__":
    main()
