"""The server of the demo: real processes with a data directory of their own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from orchestrator.embedded_postgres import instance
from orchestrator.web import process_tree

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60.0
STOP_SECONDS = 30.0


class DemoError(Exception):
    """The demo failed; the message gives the reason."""


@contextmanager
def running_server(data_dir: Path) -> Iterator[str]:
    """Start a server with a worker, provide its URL, and stop it at the end.

    Raises:
        DemoError: the server did not start.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    log = data_dir / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - no input in it
            [sys.executable, "manage.py", "serve", "--host", "127.0.0.1", "--port", str(port)],
            cwd=ROOT,
            env={**environment(data_dir), **process_tree.child_environment()},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches only the demo, which then stops the server
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_ready(url, process, log)
        yield url
    finally:
        _stop(process)
        instance.wait_until_stopped(data_dir, seconds=STOP_SECONDS)


def environment(data_dir: Path) -> dict[str, str]:
    """Return the environment of the demo's processes: this one, without the database and the secrets of production."""
    inherited = {
        name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "LOCAL", "SECRET_KEY"}
    }
    return {**inherited, "DATA_DIR": str(data_dir)}


def issue_token(data_dir: Path, name: str, password: str) -> str:
    """Create a token of a user, who can log in with the password.

    Raises:
        DemoError: the command failed.
    """
    done = subprocess.run(  # noqa: S603 - no input in it
        [sys.executable, "manage.py", "issue_token", name, "--password-stdin"],
        cwd=ROOT,
        input=password,
        env=environment(data_dir),
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise DemoError(f"manage.py issue_token failed: {done.stderr[-500:]}")
    return done.stdout.strip()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise DemoError(f"The server did not start:\n{log.read_text(errors='replace')[-2000:]}")
        try:
            if httpx.get(f"{url}/readyz", timeout=5).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass  # not listening yet
        time.sleep(0.1)
    raise DemoError(f"The server was not ready after {START_SECONDS:.0f} s; see {log}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
