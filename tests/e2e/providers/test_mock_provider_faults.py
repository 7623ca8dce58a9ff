"""Provider faults from a third-party server: each ends as docs/models.md says, and no execution hangs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.e2e.processes import CLOSED_BRIEF, Machine, copy_of, machine, start_execution, wait_for_status
from tests.e2e.providers.mock_models import (
    ANTHROPIC,
    GOOGLE,
    OPENAI,
    RESPONSES,
    MockModels,
    Provider,
    mock_models,
    reply,
)
from tests.integration.llm.model_server import DOCUMENT

pytestmark = pytest.mark.e2e

PROVIDERS = [OPENAI, RESPONSES, ANTHROPIC, GOOGLE]
SCHEMA = {
    "type": "object",
    "properties": {"title": {"type": "string"}, "points": {"type": "array", "items": {"type": "string"}}},
    "required": ["title", "points"],
    "additionalProperties": False,
}
GOOD = reply(DOCUMENT)
FIRST_TOKEN_SECONDS, TIMEOUT_SECONDS = 4, 8  # more than a busy machine keeps an answer waiting that is there
TOO_LONG = 30.0  # seconds


def always(fault: Mapping[str, Any]) -> dict[str, Any]:
    """Return a fault that does not pass."""
    return {**fault, "times": None}


BUSY = {"type": "fail", "status": 429, "retry_after": 1.0}
DOWN = {"type": "fail", "status": 500}
CUT = {"type": "stream_fault", "kind": "disconnect", "after_chunks": 4}
BREAKS_OFF = {"type": "stream_fault", "kind": "truncate", "after_chunks": 4}
MALFORMED = {"type": "stream_fault", "kind": "malformed", "after_chunks": 2}
STALLS = {"type": "stream_fault", "kind": "stall", "after_chunks": 2, "stall_seconds": TOO_LONG}
SLOW = {"type": "slow_first_token", "seconds": TOO_LONG}
NO_JSON = {"type": "tool_fault", "kind": "malformed_arguments"}
WRONG_TOOL = {"type": "tool_fault", "kind": "unknown_tool"}
TRUNCATED = reply({"title": "T"}, finish_reason="length")
REFUSED = {"type": "reply", "text": "I cannot help with that.", "finish_reason": "content_filter"}


@dataclass(frozen=True, kw_only=True)
class Case:
    """What the provider does, and what becomes of it."""

    does: list[Mapping[str, Any]]
    calls: list[str]  # what the ledger says of each
    code: str | None = None  # None: it completes all the same
    sent_back: bool = False  # with what was wrong with it
    says: str = ""

    @property
    def events(self) -> list[str]:
        """All events of the execution, in their order."""
        between = ["remediation_started"] * self.sent_back
        last = "step_failed" if self.code else "step_completed"
        return ["execution_created", "execution_started", "step_started", *between, last, "complete"]


CASES = {
    "busy": Case(does=[BUSY], calls=["failed", "committed"]),
    "down once": Case(does=[DOWN], calls=["failed", "committed"]),
    "cut once": Case(does=[CUT], calls=["unknown", "committed"]),
    "breaks off once": Case(does=[BREAKS_OFF], calls=["unknown", "committed"]),
    "invalid JSON once": Case(does=[NO_JSON], calls=["committed"] * 2, sent_back=True),
    "wrong tool once": Case(does=[WRONG_TOOL], calls=["committed"] * 2, sent_back=True),
    "down": Case(does=[always(DOWN)], calls=["failed"] * 2, code="provider_unavailable", says="HTTP 500"),
    "cut": Case(does=[always(CUT)], calls=["unknown"] * 2, code="provider_unavailable", says="Tried 2 times"),
    "breaks off": Case(
        does=[always(BREAKS_OFF)], calls=["unknown"] * 2, code="provider_unavailable", says="Tried 2 times"
    ),
    "gibberish": Case(
        does=[always(MALFORMED)], calls=["unknown"] * 2, code="provider_unavailable", says="an unreadable reply"
    ),
    "stalls": Case(does=[always(STALLS)], calls=["unknown"] * 2, code="timed_out", says="Tried 2 times"),
    "slow first token": Case(
        does=[always(SLOW)],
        calls=["unknown"] * 2,
        code="timed_out",
        says=f"did not begin to reply within {FIRST_TOKEN_SECONDS} s",
    ),
    "slow once": Case(does=[SLOW], calls=["unknown", "committed"]),
    "truncated": Case(does=[TRUNCATED], calls=["committed"], code="output_truncated", says="max_output_tokens"),
    "refused": Case(does=[REFUSED], calls=["committed"], code="model_refused", says="content filter stopped"),
    "invalid JSON": Case(
        does=[always(NO_JSON)],
        calls=["committed"] * 2,
        code="validation_exhausted",
        sent_back=True,
        says="invalid 2 times",
    ),
    "wrong tool": Case(
        does=[always(WRONG_TOOL)],
        calls=["committed"] * 2,
        code="validation_exhausted",
        sent_back=True,
        says="no tool",
    ),
}


def _publish(installed: Machine, folder: Path) -> None:
    """Publish a workflow of one step for each provider."""
    for provider in PROVIDERS:
        step = {
            "id": "one",
            "name": "One",
            "role": "writer",
            "task": "Write.",
            "produces": "report",
            "output_schema": SCHEMA,
            "model": provider.model,
            "max_attempts": 2,
            "timeout_seconds": TIMEOUT_SECONDS,
            "retries": {"max_tries": 2, "base_seconds": 0.05},
        }
        name = provider.name
        line = {"id": name, "name": name, "description": "One step.", "steps": [step]}
        (folder / name).mkdir(parents=True)
        roles = {"writer": {"name": "Writer", "instructions": "You write."}}
        (folder / name / "workflow.yaml").write_text(yaml.safe_dump({**line, "roles": roles}), encoding="utf-8")
    installed.manage("load_catalog", "--catalog", str(folder))


@pytest.fixture(scope="module")
def installed(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[MockModels, httpx.Client]]:
    """A server that asks the mock, in each language by a workflow of its own, and a client of it."""
    folder = tmp_path_factory.mktemp("faults")
    with mock_models() as mock, machine(copy_of(prepared, folder)) as each:
        each.environment["MODEL_FIRST_TOKEN_SECONDS"] = str(FIRST_TOKEN_SECONDS)
        for provider in PROVIDERS:
            each.environment |= provider.environment(mock.url)
        each.serve()
        _publish(each, folder / "catalog")
        with each.client() as client:
            yield mock, client


def _calls(client: httpx.Client, execution_id: str) -> list[dict[str, Any]]:
    costs = client.get(f"/telemetry/executions/{execution_id}/costs").json()
    return [call for step in costs["steps"] for each in step["attempts"] for call in each["calls"]]


#: Left to `make test-all`: each ends as another one does, and `tests/integration/llm` tells the two apart.
LIKE_OTHERS = {
    *("down once", "breaks off once", "wrong tool once", "slow once"),
    *("cut", "breaks off", "stalls", "invalid JSON"),
}


def _marks(name: str, *, is_usual: bool) -> list[pytest.MarkDecorator]:
    return [] if is_usual and name not in LIKE_OTHERS else [pytest.mark.torture]


@pytest.mark.parametrize(
    ("name", "provider"),
    [
        pytest.param(name, provider, id=f"{name}, {provider.name}", marks=_marks(name, is_usual=provider is usual))
        for name, usual in zip(CASES, cycle(PROVIDERS), strict=False)  # `make test` has one language of each
        for provider in PROVIDERS
        if (name, provider) != ("refused", RESPONSES)  # the mock cannot refuse in that language
    ],
)
def test_a_fault_ends_as_the_manual_says(
    installed: tuple[MockModels, httpx.Client], name: str, provider: Provider
) -> None:
    (mock, client), case = installed, CASES[name]
    mock.reset()
    mock.will(*(provider.fitting(each) for each in case.does), always(GOOD))
    execution_id = start_execution(client, CLOSED_BRIEF, workflow_id=provider.name)
    ended = wait_for_status(client, execution_id, "completed", "failed")
    events = client.get(f"/executions/{execution_id}/events").json()["data"]
    asked = mock.asked()
    assert ended["status"] == ("failed" if case.code else "completed"), ended["error"]
    assert [each["event_type"] for each in events] == case.events
    assert [call["status"] for call in _calls(client, execution_id)] == case.calls
    assert [each["stream"] for each in asked] == [True] * len(case.calls)
    if case.code:
        assert ended["error"]["code"] == case.code
        [failed] = [each["data"] for each in events if each["event_type"] == "step_failed"]
        assert failed["failure_code"] == case.code
        assert case.says in failed["error"]
    else:  # after the last try the mock cannot tell that an answer was not used
        assert mock.verdict()["passed"], mock.verdict()
