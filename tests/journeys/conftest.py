"""Installations for journeys: one shared by those that only use it, fresh ones for those that break things."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.processes import ROOT, SERVERS, Machine, machine


@pytest.fixture(scope="session")
def brief() -> str:
    """The brief that ships first: something in it is left open, so that a question is asked."""
    return sorted((ROOT / "examples" / "briefs").glob("*.md"))[0].read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A running server with a worker in it, for journeys that leave it as it is."""
    with machine(tmp_path_factory.mktemp("shared")) as installed:
        installed.serve()
        yield installed


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Machine]:
    """An installation of one's own, nothing started."""
    with machine(tmp_path / "data") as installed:
        yield installed


@pytest.fixture(params=SERVERS)
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Machine]:
    """An installation of one's own on each of the servers that run the application, nothing started."""
    with machine(tmp_path / "data", server=request.param) as installed:
        yield installed
