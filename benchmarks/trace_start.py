"""`python -m benchmarks.trace_start`: the files of ours whose functions run from a start to the stream's first byte.

One process holds the ASGI application. A profiler notes each function of the product that is called from the moment in
which `POST /executions/` arrives to the first byte of `GET /executions/{id}/stream`. A first start before that is not
traced: it imports what is imported late, fills the caches, and opens the connections. With `--worker` a worker runs in
the same process, and the trace goes on until the event `complete`.
"""

from __future__ import annotations

import argparse
import json
import sys

from benchmarks import database, processes


def main() -> int:
    """Trace in a process of its own, with a database of its own, and print the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worker", action="store_true", help="a worker runs too, until the event `complete`")
    parser.add_argument("--functions", action="store_true", help="name the functions, too")
    chosen = parser.parse_args()
    database.start()
    with database.fresh_database("trace", product=True) as place:
        given = ["--worker"] if chosen.worker else []
        found: dict[str, list[str]] = json.loads(
            processes.run("benchmarks.systems.traced_start", *given, target=place, STREAM_KEEPALIVE_SECONDS="0.5")
        )
    for name, functions in found.items():
        sys.stdout.write(f"{name}  {', '.join(functions) if chosen.functions else len(functions)}\n")
    sys.stdout.write(f"{len(found)} files, {sum(map(len, found.values()))} functions\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
