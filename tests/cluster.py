"""A PostgreSQL of this run's own, started before Django reads its settings (loaded with `-p`, before all else)."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path

import pytest

_OWNER = "TEST_DATA_DIR_OWNER"
_STOP_SECONDS = 20.0


def _prepare() -> None:
    """Start the cluster once; the workers of a parallel run find it in their environment."""
    if os.environ.get("DATABASE_URL") or _OWNER in os.environ:
        return
    os.environ[_OWNER] = str(os.getpid())
    os.environ["DATA_DIR"] = tempfile.mkdtemp(prefix="scriptorium-tests-")
    os.environ["POSTGRES_FSYNC"] = "0"
    for name in [name for name in os.environ if name.endswith("_API_KEY") or name.startswith(("MODEL_", "OPENAI_"))]:
        del os.environ[name]  # tests never ask a real model
    from orchestrator import postgres  # noqa: PLC0415 - reads the environment

    postgres.ensure_running(Path(os.environ["DATA_DIR"]).resolve())


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the cluster with the process that started it, and leave nothing behind."""
    if os.environ.get(_OWNER) != str(os.getpid()):
        return
    from orchestrator import postgres  # noqa: PLC0415

    data_dir = Path(os.environ["DATA_DIR"]).resolve()
    postgres.release(data_dir)
    deadline = time.monotonic() + _STOP_SECONDS
    with (data_dir / "postgres" / "watchdog.lock").open("ab") as lock:
        while time.monotonic() < deadline:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.1)
    shutil.rmtree(data_dir, ignore_errors=True)


_prepare()
