"""`manage.py serve`: behavior beyond that of other servers with the same application."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import yaml

from tests.e2e import processes
from tests.e2e.processes import ROOT, Machine, wait_until

pytestmark = pytest.mark.e2e


def test_a_body_over_the_limit_is_refused_before_it_has_been_sent(shared: Machine) -> None:
    with shared.client() as client, socket.create_connection(("127.0.0.1", shared.port)) as connection:
        connection.sendall(
            b"POST /api/v1/executions/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            + f"Authorization: {client.headers['Authorization']}\r\nContent-Length: 9000000000\r\n\r\n".encode()
        )
        connection.settimeout(10)
        answer = b""
        while data := connection.recv(65536):
            answer += data
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"application/problem+json" in answer


def test_chunks_over_the_limit_are_refused(shared: Machine) -> None:
    with shared.client() as client:
        response = client.post("/executions/", content=(b"x" * 65536 for _ in range(40)))
        assert response.status_code == 413
        assert response.json()["code"] == "too-large"


def test_a_status_comes_with_its_words(shared: Machine) -> None:
    with shared.client() as client:
        assert client.post("/executions/", json={}).reason_phrase == "Unprocessable Entity"


def test_a_port_that_cannot_be_listened_on_is_a_clear_error(shared: Machine) -> None:
    for port, words in ((str(shared.port), f"Cannot listen on 127.0.0.1:{shared.port}"), ("0", "PORT=0")):
        done = subprocess.run(
            [sys.executable, "manage.py", "serve", "--no-worker", "--port", port],
            cwd=ROOT,
            env=shared._env({}),
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
        assert done.returncode == 1
        assert words in done.stderr
        assert "Traceback" not in done.stderr


def test_a_server_says_when_it_is_ready_and_where(shared: Machine) -> None:
    [log] = shared.data_dir.glob("serve-*.log")  # whole: the access log comes after it
    assert f"ready {shared.url}\n" in log.read_text()


def test_the_access_log_tells_no_query(shared: Machine) -> None:
    httpx.get(f"{shared.url}/api/v1/asked-for-the-log?secret=hunter2")
    wait_until(lambda: "GET /api/v1/asked-for-the-log 404" in shared.logs(), what="the line in the log")
    assert "hunter2" not in shared.logs()


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The program in a folder of its own, so that its catalog may be changed; returns the catalog."""
    root = tmp_path / "program"
    ignored = shutil.ignore_patterns(".*", "tests", "benchmarks", "docs")
    shutil.copytree(ROOT, root, ignore=ignored)
    monkeypatch.setattr(processes, "ROOT", root)
    return root / "workflows" / "catalog"


@pytest.mark.torture
def test_a_server_starts_beside_a_faulty_workflow_and_names_every_fault(copied: Path, fresh: Machine) -> None:
    for name, changes in (("vendor-assessment", {"role": "missing", "inputs": ["missing"]}), ("meeting-minutes", {})):
        source = copied / name / "workflow.yaml"
        changed = yaml.safe_load(source.read_text(encoding="utf-8"))
        changed["steps"][0] |= {"description": "Changed.", **changes}
        source.write_text(yaml.safe_dump(changed), encoding="utf-8")
    fresh.serve("--no-worker")
    logs = fresh.logs()
    for expected in ("vendor-assessment: ", "/steps/0/role: ", "/steps/0/inputs/0: ", f"ready {fresh.url}"):
        assert expected in logs
    assert "Traceback" not in logs
    with fresh.client() as client:
        shown = {each["id"]: each["version"] for each in client.get("/workflows/").json()["data"]}
    assert (shown["vendor-assessment"], shown["meeting-minutes"]) == (1, 2)
