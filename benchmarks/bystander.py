"""`make bench-bystander`: what the worst requests of one user cost the others, on one server with a worker in it."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx

from benchmarks import database, report
from tests.e2e.processes import CLOSED_BRIEF, Machine, machine, start_execution, wait_for_status

LIMIT_SECONDS = 0.5  # within which others shall be answered
ATTACKS = 30  # requests at once, at most
WORKFLOW = """
id: recursive
name: Recursive
description: A tree whose names are matched by a pattern that backtracks.
roles:
  analyst: {name: Analyst, instructions: You make trees.}
steps:
  - id: tree
    name: Tree
    role: analyst
    task: Make a tree of the brief.
    produces: tree
    output_schema: {file: tree.json}
"""
SCHEMA = {
    "type": "object",
    "required": ["title", "name", "children"],
    "properties": {
        "title": {"type": "string"},
        "name": {"type": "string", "pattern": "^(a+)+$"},
        "children": {"type": "array", "minItems": 1, "maxItems": 3, "items": {"$ref": "#/$defs/node"}},
    },
    "$defs": {
        "node": {
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": {"type": "string", "pattern": "^(a+)+$"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
            },
        }
    },
}


@contextmanager
def probing(headers: dict[str, str], *urls: str) -> Iterator[list[list[float]]]:
    """Ask for URLs meanwhile; afterwards the list holds how long each answer took, in seconds, by URL.

    Raises:
        subprocess.CalledProcessError: a URL was answered with an error.
    """
    found: list[list[float]] = []
    command = [sys.executable, "-m", "benchmarks.probe"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps({"urls": urls, "headers": headers}) + "\n")
        process.stdin.flush()
        process.stdout.readline()  # it has begun
        try:
            yield found
        finally:
            answer, _ = process.communicate(timeout=120)  # closes its input, which ends it
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    found += json.loads(answer)


def odd_charset(place: Machine, attacker: httpx.Client) -> None:
    """Send 800 KB in a charset whose decoder takes quadratic time."""
    body = b"a" * 800_000  # each letter inserts a character into the text decoded so far
    headers = {"Content-Type": "application/json; charset=punycode"}
    for path in ("/executions/", "/auth/token") * 10:
        attacker.post(path, content=body, headers=headers)


def repeated_groups(_place: Machine, attacker: httpx.Client) -> None:
    """Ask 20 times at once for the same group 3,000 times over."""
    groups = ",".join(["day"] * 3_000)
    at_once(20, lambda _: attacker.get(f"/telemetry/summary?group_by={groups}"))


def slow_dry_runs(_place: Machine, attacker: httpx.Client) -> None:
    """Start 25 dry runs whose model takes a minute, each in a scope of its own."""

    def start(number: int) -> None:
        script = {"latency_seconds": 60}
        body = {"workflow_id": "meeting-minutes", "scope_type": "project", "scope_id": f"slow-{number}"}
        more = {"input": CLOSED_BRIEF, "dry_run": True, "rehearsal": script}
        attacker.post("/executions/", json={**body, **more}).raise_for_status()

    at_once(25, start)


def wrong_passwords(place: Machine, _attacker: httpx.Client) -> None:
    """Try 30 wrong passwords at once, ten times."""
    with httpx.Client(base_url=f"{place.url}/api/v1", timeout=60) as anonymous:

        def guess(number: int) -> None:
            for each in range(10):
                anonymous.post("/auth/token", json={"username": f"user-{number}", "password": f"wrong {each}"})

        at_once(30, guess)


def backtracking(_place: Machine, attacker: httpx.Client) -> None:
    """Dry-run a recursive schema whose pattern backtracks over the brief."""
    body = {"workflow_id": "recursive", "scope_type": "project", "scope_id": "tree", "dry_run": True}
    answer = attacker.post("/executions/", json={**body, "input": "a" * 27 + "! " + "a" * 60 + "!"})
    answer.raise_for_status()
    wait_for_status(attacker, answer.json()["execution_id"], "completed", "failed")


def at_once(times: int, do: Callable[[int], object]) -> None:
    """Do something so many times at once."""
    with ThreadPoolExecutor(min(times, ATTACKS)) as threads:
        list(threads.map(do, range(times)))


def load_recursive(place: Machine, folder: Path) -> None:
    """Publish the workflow with the recursive schema."""
    home = folder / "catalog" / "recursive"
    home.mkdir(parents=True)
    (home / "workflow.yaml").write_text(WORKFLOW, encoding="utf-8")
    (home / "tree.json").write_text(json.dumps(SCHEMA), encoding="utf-8")
    place.manage("load_catalog", "--catalog", str(home.parent))


def measure(place: Machine, attack: Callable[[Machine, httpx.Client], None]) -> dict[str, object]:
    """Attack, and ask meanwhile as another user, who also starts an execution."""
    with place.client("alice") as attacker, place.client("ada") as other, place.client("ada") as starter:
        known = start_execution(other, CLOSED_BRIEF, workflow_id="meeting-minutes", key="others")
        wait_for_status(other, known, "completed")
        urls = (f"{place.url}/healthz", str(other.base_url.join(f"executions/{known}")))
        authorization = {"Authorization": other.headers["Authorization"]}
        with probing(authorization, *urls) as found, ThreadPoolExecutor(1) as threads:
            attacking = threads.submit(attack, place, attacker)
            began = time.perf_counter()
            started = start_execution(starter, CLOSED_BRIEF, workflow_id="meeting-minutes", key="others")
            wait_for_status(starter, started, "completed")
            took = time.perf_counter() - began
            attacking.result()
    health, read = found
    return {
        "attack": attack.__name__,
        "healthz_worst_ms": max(health) * 1000,
        "read_worst_ms": max(read) * 1000,
        "answers": len(health) + len(read),
        "start_to_end_seconds": took,
    }


def main() -> None:
    """Measure each attack, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", default=[])
    wanted = parser.parse_args()
    attacks = (odd_charset, repeated_groups, slow_dry_runs, wrong_passwords, backtracking)
    database.start()
    runs = []
    with tempfile.TemporaryDirectory() as folder, machine(Path(folder) / "data") as place:
        place.serve()
        load_recursive(place, Path(folder))
        for attack in attacks:
            if not wanted.only or attack.__name__ in wanted.only:
                runs.append(measure(place, attack))
                report.say(json.dumps(runs[-1]))
    columns = ("what one user does", "/healthz, worst ms", "another's read, worst ms", "another's start to end, s")
    rows = [
        [
            run["attack"],
            f"{run['healthz_worst_ms']:.0f}",
            f"{run['read_worst_ms']:.0f}",
            f"{run['start_to_end_seconds']:.1f}",
        ]
        for run in runs
    ]
    text = f"Others shall be answered within {LIMIT_SECONDS * 1000:.0f} ms.\n\n{report.table(columns, rows)}"
    if not wanted.only:
        report.write("bystander", text, {"machine": report.machine(), "runs": runs})


if __name__ == "__main__":
    main()
