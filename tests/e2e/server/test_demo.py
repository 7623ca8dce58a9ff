"""`make demo` in a fresh clone of the repository."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from orchestrator.embedded_postgres.instance import wait_until_stopped
from tests.e2e.processes import ROOT, free_port, wait_until
from tests.support.waiting import HANG_SECONDS

pytestmark = pytest.mark.e2e


def _demo(data_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DATA_DIR": str(data_dir), "COLUMNS": "200", "TERM": "dumb"}
    return subprocess.run(
        ["make", "--no-print-directory", "demo", *arguments],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


def test_the_demo_runs_a_brief_to_documents_and_stops_everything(tmp_path: Path) -> None:
    done = _demo(tmp_path)
    assert done.returncode == 0, done.stderr
    for word in ("Bergdorf", "introduce a yearly membership fee", "Costs", "requirements", "prepared", "make serve"):
        assert word in done.stdout
    assert "REQ-16" in done.stdout  # the documents are whole
    assert "0.0000" not in done.stdout
    assert not _users_of(tmp_path)


def test_in_a_terminal_the_page_stays_open_until_ctrl_c(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "DATA_DIR": str(tmp_path), "COLUMNS": "200", "TERM": "dumb"}
    command = [sys.executable, "manage.py", "demo"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=theirs) as demo:
        os.close(theirs)
        shown = ""
        while "stays open until Ctrl-C" not in shown or "Log in as demo" not in shown:
            shown += os.read(ours, 65_536).decode(errors="replace")
        found = re.search(r"Ctrl-C:\s+(\S+/executions/\S+/)", shown)
        assert found is not None, shown
        assert httpx.get(found[1], follow_redirects=True).status_code == 200
        demo.send_signal(signal.SIGINT)
        threading.Thread(target=_drain, args=(ours,), daemon=True).start()
        try:
            assert demo.wait(HANG_SECONDS) == 0
        finally:
            demo.terminate()
    assert not _users_of(tmp_path)


def _drain(terminal: int) -> None:
    """Read what is written until the terminal is closed."""
    with suppress(OSError):
        while os.read(terminal, 65_536):
            pass


@pytest.mark.torture
def test_the_demo_makes_a_dry_run_of_another_brief(tmp_path: Path) -> None:
    other = _demo(tmp_path, "BRIEF=examples/briefs/veterinary-practices.md", "DRY_RUN=1")
    assert other.returncode == 0, other.stderr
    for word in ("veterinary practices", "a dry run", "requirements version 1", "the texts have no meaning"):
        assert word in other.stdout
    assert "Bergdorf" not in other.stdout


def _users_of(data_dir: Path) -> list[str]:
    """Return the servers and workers that still run on a data directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            environment = (process / "environ").read_bytes().decode()
        except OSError:
            continue  # it ended meanwhile
        if "manage.py" in command and str(data_dir) in environment:
            found.append(command)
    return found


@pytest.mark.torture
def test_a_brief_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = _demo(tmp_path, "BRIEF=no/such/brief.md")
    assert done.returncode != 0
    assert "no/such/brief.md" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.torture
def test_an_unanswerable_question_ends_the_demo_with_what_to_do(tmp_path: Path) -> None:
    brief = tmp_path / "own.md"
    brief.write_text(
        "# Ferry\n\nIt is undecided whether to buy a second ferry or to extend the hours.", encoding="utf-8"
    )
    done = _demo(tmp_path / "data", f"BRIEF={brief}")
    assert done.returncode != 0
    assert "make demo ANSWERS=" in done.stderr


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGTERM, id="SIGTERM"),
        pytest.param(signal.SIGKILL, id="SIGKILL"),
    ],
)
@pytest.mark.torture
def test_a_demo_that_is_killed_takes_its_server_and_database_along(tmp_path: Path, number: signal.Signals) -> None:
    environment = {
        **os.environ,
        "DATA_DIR": str(tmp_path),
        "REHEARSAL_LATENCY_SECONDS": "60",
        "SHUTDOWN_GRACE_SECONDS": "1",
    }
    command = [sys.executable, "manage.py", "demo"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as demo:
        output = demo.stdout
        assert output is not None
        wait_until(lambda: "claimed by a worker" in output.readline(), what="a model call that takes a minute")
        assert any("serve" in each for each in _users_of(tmp_path))
        demo.send_signal(number)
        output.read()
    wait_until(lambda: not _users_of(tmp_path), what="the end of the server")
    assert wait_until_stopped(tmp_path / "demo", seconds=HANG_SECONDS)


@pytest.mark.torture
def test_a_server_ends_when_make_is_killed(tmp_path: Path) -> None:
    environment = {**os.environ, "DATA_DIR": str(tmp_path), "PORT": str(free_port()), "SERVE_FLAGS": "--no-worker"}
    command = ["make", "--no-print-directory", "serve"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as make:
        output = make.stdout
        assert output is not None
        wait_until(lambda: "ready" in output.readline(), what="a server that is ready")
        make.kill()
        wait_until(lambda: not _users_of(tmp_path), what="the end of the server")
    assert wait_until_stopped(tmp_path, seconds=HANG_SECONDS)


@pytest.mark.torture
def test_a_brief_in_utf_16_is_refused_in_a_sentence(tmp_path: Path) -> None:
    brief = tmp_path / "brief.md"
    brief.write_bytes("# Fähre".encode("utf-16"))
    done = _demo(tmp_path, f"BRIEF={brief}")
    assert done.returncode != 0
    assert "Save it as UTF-8" in done.stderr
    assert "Traceback" not in done.stderr
