"""Commands: printed commands can be run as they are, and errors are one sentence."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.command_line import command_text
from tests.e2e.processes import ROOT, machine

pytestmark = pytest.mark.e2e


def run(command: str | list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the repository, without what this test session has set."""
    kept = {name: value for name, value in os.environ.items() if name not in {"DATA_DIR", "DJANGO_SETTINGS_MODULE"}}
    return subprocess.run(
        command,
        shell=isinstance(command, str),
        cwd=ROOT,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


@pytest.mark.torture
def test_the_command_for_a_token_that_serve_prints_works_as_printed(tmp_path: Path) -> None:
    with machine(tmp_path / "a folder") as installed:
        installed.serve("--no-worker")
        printed = next(line for line in installed.logs().splitlines() if line.startswith("A token"))
        command = printed.removeprefix("A token").partition("(")[0].replace("NAME", "ada").strip()
        done = run(command)
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.strip()) > 30


@pytest.mark.parametrize(
    "words",
    [
        ["issue_token", "ada"],
        pytest.param(["load_catalog"], marks=pytest.mark.torture),
        pytest.param(["reprice", "--from", "2026-11-01"], marks=pytest.mark.torture),
    ],
)
def test_a_database_without_tables_is_said_in_a_sentence(tmp_path: Path, words: list[str]) -> None:
    done = run([sys.executable, "manage.py", *words], DATA_DIR=str(tmp_path))
    assert done.returncode == 1
    assert "The database is not up to date" in done.stderr
    assert "Traceback" not in done.stderr
    command = done.stderr.partition("`")[2].partition("`")[0]
    assert shlex.split(command)[0] == f"DATA_DIR={tmp_path}"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:secret@127.0.0.1:1/n",
        pytest.param("postgresql://u:secret@no-such-host.invalid:5432/n", marks=pytest.mark.torture),
    ],
)
def test_a_database_that_is_away_is_said_in_a_sentence(url: str) -> None:
    done = run([sys.executable, "manage.py", "issue_token", "ada"], DATABASE_URL=url, LOCAL="1")
    assert done.returncode == 1
    assert "The database is not available" in done.stderr
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr


def test_a_python_without_our_packages_is_told_which_one_to_use() -> None:
    done = run([sys.executable, "-S", "manage.py", "issue_token", "ada"])
    assert done.returncode == 1
    assert ".venv/bin/python manage.py" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_printed_command_names_another_data_directory_and_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_DIR", "/srv/two words")
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:secret@h/n")
    assert shlex.split(command_text("migrate"))[0] == "DATA_DIR=/srv/two words"
    assert "secret" not in command_text("migrate")
