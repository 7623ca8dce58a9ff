"""The format of log lines."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from orchestrator.logs import FORMATS, logging_config


@pytest.fixture
def written(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """What a logger writes in the format that the test names."""
    config = logging_config(form=request.param, level="INFO")
    formatter = config["formatters"]["line"]
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter.pop("()")(**formatter))
    logger = logging.getLogger("tests.lines")
    logger.addHandler(handler)
    logger.propagate = False
    yield stream
    logger.removeHandler(handler)
    logger.propagate = True


def fail() -> None:
    secret = "hunter" + "2"
    raise ValueError(f"{len(secret)} letters")


@pytest.mark.parametrize("written", ["json"], indirect=True)
def test_a_line_for_machines_is_one_object_with_the_request_it_belongs_to(written: io.StringIO) -> None:
    with structlog.contextvars.bound_contextvars(request_id="r-1"):
        logging.getLogger("tests.lines").warning("%d hints are dropped", 3, extra={"execution_id": "e-1"})
    line = json.loads(written.getvalue())
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "3 hints are dropped",
        "level": "warning",
        "logger": "tests.lines",
        "request_id": "r-1",
        "execution_id": "e-1",
    }


@pytest.mark.parametrize("written", sorted(FORMATS), indirect=True)
def test_a_traceback_shows_no_values_of_variables(written: io.StringIO) -> None:
    try:
        fail()
    except ValueError:
        logging.getLogger("tests.lines").exception("it failed")
    assert "ValueError: 7 letters" in written.getvalue()
    assert "hunter2" not in written.getvalue()
