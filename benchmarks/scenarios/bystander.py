"""`make bench-bystander`: effect of one user's expensive requests on other users, on one server with a worker."""

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

LIMIT_SECONDS = 0.5  # target response time for other users
MAX_CONCURRENT = 30  # requests of the attacker
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
def probe(headers: dict[str, str], *urls: str) -> Iterator[list[list[float]]]:
    """Request URLs during the block; then the list holds the response times in seconds, by URL.

    Raises:
        subprocess.CalledProcessError: a request failed.
    """
    durations: list[list[float]] = []
    command = [sys.executable, "-m", "benchmarks.probe"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps({"urls": urls, "headers": headers}) + "\n")
        process.stdin.flush()
        process.stdout.readline()  # the probe is running
        try:
            yield durations
        finally:
            output, _ = process.communicate(timeout=120)  # closes its input, which stops it
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    durations += json.loads(output)


def odd_charset(installation: Machine, attacker: httpx.Client) -> None:
    """Send 800 KB in a charset whose decoder takes quadratic time."""
    body = b"a" * 800_000  # each letter inserts a character into the decoded text
    headers = {"Content-Type": "application/json; charset=punycode"}
    for path in ("/executions/", "/auth/token") * 10:
        attacker.post(path, content=body, headers=headers)


def repeated_groups(_place: Machine, attacker: httpx.Client) -> None:
    """Send 20 concurrent requests that each repeat the same group 3,000 times."""
    groups = ",".join(["day"] * 3_000)
    run_concurrently(20, lambda _: attacker.get(f"/telemetry/summary?group_by={groups}"))


def slow_dry_runs(_place: Machine, attacker: httpx.Client) -> None:
    """Start 25 dry runs in separate scopes, with a model that takes a minute."""

    def start(number: int) -> None:
        script = {"latency_seconds": 60}
        body = {"workflow_id": "meeting-minutes", "scope_type": "project", "scope_id": f"slow-{number}"}
        more = {"input": CLOSED_BRIEF, "dry_run": True, "rehearsal": script}
        attacker.post("/executions/", json={**body, **more}).raise_for_status()

    run_concurrently(25, start)


def wrong_passwords(installation: Machine, _attacker: httpx.Client) -> None:
    """Try 30 wrong passwords concurrently, ten times."""
    with httpx.Client(base_url=f"{installation.url}/api/v1", timeout=60) as anonymous:

        def guess(number: int) -> None:
            for each in range(10):
                anonymous.post("/auth/token", json={"username": f"user-{number}", "password": f"wrong {each}"})

        run_concurrently(30, guess)


def backtracking(_place: Machine, attacker: httpx.Client) -> None:
    """Start a dry run of a recursive schema whose pattern backtracks on the brief."""
    body = {"workflow_id": "recursive", "scope_type": "project", "scope_id": "tree", "dry_run": True}
    answer = attacker.post("/executions/", json={**body, "input": "a" * 27 + "! " + "a" * 60 + "!"})
    answer.raise_for_status()
    wait_for_status(attacker, answer.json()["execution_id"], "completed", "failed")


def run_concurrently(times: int, function: Callable[[int], object]) -> None:
    """Call a function several times in threads."""
    with ThreadPoolExecutor(min(times, MAX_CONCURRENT)) as threads:
        list(threads.map(function, range(times)))


def load_recursive(installation: Machine, folder: Path) -> None:
    """Publish the workflow with the recursive schema."""
    home = folder / "catalog" / "recursive"
    home.mkdir(parents=True)
    (home / "workflow.yaml").write_text(WORKFLOW, encoding="utf-8")
    (home / "tree.json").write_text(json.dumps(SCHEMA), encoding="utf-8")
    installation.manage("load_catalog", "--catalog", str(home.parent))


def measure(installation: Machine, attack: Callable[[Machine, httpx.Client], None]) -> dict[str, object]:
    """Run an attack, and measure the requests and an execution of another user."""
    with (
        installation.client("alice") as attacker,
        installation.client("ada") as other,
        installation.client("ada") as starter,
    ):
        known = start_execution(other, CLOSED_BRIEF, workflow_id="meeting-minutes", key="others")
        wait_for_status(other, known, "completed")
        urls = (f"{installation.url}/healthz", str(other.base_url.join(f"executions/{known}")))
        authorization = {"Authorization": other.headers["Authorization"]}
        with probe(authorization, *urls) as durations, ThreadPoolExecutor(1) as threads:
            attacking = threads.submit(attack, installation, attacker)
            began = time.perf_counter()
            started = start_execution(starter, CLOSED_BRIEF, workflow_id="meeting-minutes", key="others")
            wait_for_status(starter, started, "completed")
            seconds = time.perf_counter() - began
            attacking.result()
    health, read = durations
    return {
        "attack": attack.__name__,
        "healthz_worst_ms": max(health) * 1000,
        "read_worst_ms": max(read) * 1000,
        "answers": len(health) + len(read),
        "start_to_end_seconds": seconds,
    }


def main() -> None:
    """Measure each attack, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", default=[])
    wanted = parser.parse_args()
    attacks = (odd_charset, repeated_groups, slow_dry_runs, wrong_passwords, backtracking)
    database.start()
    runs = []
    with tempfile.TemporaryDirectory() as folder, machine(Path(folder) / "data") as installation:
        installation.serve()
        load_recursive(installation, Path(folder))
        for attack in attacks:
            if not wanted.only or attack.__name__ in wanted.only:
                runs.append(measure(installation, attack))
                report.say(json.dumps(runs[-1]))
    columns = ("attack", "/healthz, max ms", "read of another user, max ms", "execution of another user, s")
    rows = [
        [
            run["attack"],
            f"{run['healthz_worst_ms']:.0f}",
            f"{run['read_worst_ms']:.0f}",
            f"{run['start_to_end_seconds']:.1f}",
        ]
        for run in runs
    ]
    text = f"Target: responses to other users within {LIMIT_SECONDS * 1000:.0f} ms.\n\n{report.table(columns, rows)}"
    if not wanted.only:
        report.write("bystander", text, {"machine": report.machine(), "runs": runs})


if __name__ == "__main__":
    main()
