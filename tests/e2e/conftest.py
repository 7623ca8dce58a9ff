"""Installations of real processes: one shared by tests that only use it, fresh ones for those that break things.

All begin as copies of one that was prepared as an operator does it and stopped again: a database is made once, and its
users with it. Tests of the first start (`test_demo.py`) make one of their own.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from orchestrator.embedded_postgres import instance
from tests.e2e.console.browser import chromium
from tests.e2e.processes import ON_EITHER, ROOT, STOP_SECONDS, Machine, copy_of, machine
from tests.support.tcp_proxy import TcpProxy, tcp_proxy

HERE = Path(__file__).parent


class Chromium:
    """Chromium, started once for tests that follow each other."""

    def __init__(self) -> None:
        self._browser: Browser | None = None
        self._end = ExitStack()

    def running(self) -> Browser:
        """Return Chromium, which is started when it does not run."""
        if self._browser is None or not self._browser.is_connected():
            self.end()
            self._browser = self._end.enter_context(chromium())
        return self._browser

    def end(self) -> None:
        """End it."""
        self._browser = None
        self._end.close()


CHROMIUM = Chromium()


def rank(item: pytest.Item) -> int:
    """Return when a test comes: those with Chromium first, then others of the shared installation, then the rest."""
    names = getattr(item, "fixturenames", ()) if HERE in item.path.parents else ()
    return 0 if "browser" in names else 1 if "shared" in names else 2


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have tests that share an installation and Chromium follow each other, so that few workers start them."""
    items.sort(key=rank)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> Iterator[None]:
    """End Chromium before a test that does not use it: its loop would be in the way of an asynchronous one."""
    yield
    if nextitem is None or rank(nextitem) > 0:
        CHROMIUM.end()


def pytest_sessionfinish() -> None:
    """End Chromium also when the tests were stopped."""
    CHROMIUM.end()


@pytest.fixture(scope="session")
def brief() -> str:
    """A brief in which something is left open, so that a question is asked. No prepared example has its last line."""
    return (ROOT / "examples" / "briefs" / "tool-library.md").read_text(encoding="utf-8") + "\nFor a test.\n"


@pytest.fixture(scope="session")
def prepared() -> Path:
    """The data directory of an unused installation, with the users of these tests."""
    session = Path(os.environ["DATA_DIR"])  # of all processes that share these tests among them
    made, making = session / "prepared", session / "in-preparation"
    with (session / "prepared.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            with machine(making) as installed:
                installed.prepare()
                installed.make_people()
            assert instance.wait_until_stopped(making, seconds=STOP_SECONDS)
            making.rename(made)
    return made


@pytest.fixture
def browser() -> Browser:
    """Chromium, which stays for the next test."""
    return CHROMIUM.running()


@pytest.fixture(scope="session")
def shared(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A running server with a worker in it, for tests that leave it as it is."""
    with machine(copy_of(prepared, tmp_path_factory.mktemp("shared"))) as installed:
        installed.serve(*(["--access-log"] if installed.server == "daphne" else []))
        yield installed


@pytest.fixture
def data_dir(prepared: Path, tmp_path: Path) -> Path:
    """The data directory of an installation of one's own."""
    return copy_of(prepared, tmp_path)


@pytest.fixture
def fresh(data_dir: Path) -> Iterator[Machine]:
    """An installation of one's own, nothing started."""
    with machine(data_dir) as installed:
        yield installed


@pytest.fixture(params=ON_EITHER)
def either(request: pytest.FixtureRequest, data_dir: Path) -> Iterator[Machine]:
    """An installation of one's own on each of the servers that run the application, nothing started."""
    with machine(data_dir, server=request.param) as installed:
        yield installed


@pytest.fixture
def link(data_dir: Path) -> Iterator[TcpProxy]:
    """A proxy before the database of an installation of one's own."""
    instance.ensure_running(data_dir)
    try:
        with tcp_proxy(instance.socket_dir(data_dir) / instance.SOCKET) as made:
            yield made
    finally:
        instance.release(data_dir)


@pytest.fixture
def linked(data_dir: Path, link: TcpProxy) -> Iterator[Machine]:
    """An installation whose processes reach their database through `link`, nothing started."""
    url = f"postgresql://{instance.USER}@127.0.0.1:{link.port}/{instance.DATABASE}"
    with machine(data_dir, LOCAL="1", DATABASE_URL=url) as installed:
        yield installed
