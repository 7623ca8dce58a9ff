"""All faults of providers over real HTTP, in both APIs, and their outcomes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.e2e.processes import Machine, machine, start_execution, wait_for_status
from tests.factories.engine import SCHEMA
from tests.integration.llm import wire_formats
from tests.integration.llm.model_server import DOCUMENT, Answer, Line, Misbehaviour, ModelServer, model_server

pytestmark = [pytest.mark.e2e, pytest.mark.torture]

MODELS = {"openai": "openai:gpt-5", "anthropic": "anthropic:claude-sonnet-5-5"}
FIRST_TOKEN_SECONDS = 2.0
BUSY = Answer(status=429, headers={"Retry-After": "1"}, body={"error": {"message": "Slow down."}})
BROKEN = Answer(status=500, body={"error": {"message": "Something broke."}})


def saying(language: str, arguments: object = None, *, tool: str = "submit_document", **changes: Any) -> Answer:
    """Return an answer in a language, whole or streamed: a call of a tool, with something changed."""
    said = wire_formats.completion(tool, arguments or DOCUMENT)
    if language == "anthropic":
        said = {**wire_formats.message(tool, arguments or DOCUMENT), **changes}
    else:
        said["choices"][0] |= {name: value for name, value in changes.items() if name == "finish_reason"}
        said["choices"][0]["message"] |= changes.get("message", {})
        said |= {name: value for name, value in changes.items() if name == "usage"}
    return Answer(body=None, streamed=said)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What goes wrong, and what comes of it."""

    script: Sequence[Line]
    status: str = "completed"
    code: str | None = None
    calls: Sequence[tuple[int, str, str]]  # attempt, kind, status
    events: Sequence[str] = ()  # between the start and the end of the step
    complete: bool = True  # whether it is known what it cost


ONCE = (1, "generate", "committed")
FAILED = (1, "generate", "failed")
LOST = (1, "generate", "unknown")
MENDED = [ONCE, (2, "remediate", "committed")]


def faults(language: str) -> dict[str, Fault]:
    """Return everything that goes wrong, by a word that stands in the brief."""
    fine, nothing = saying(language), {"title": ""}
    cut = {"finish_reason": "length"} if language == "openai" else {"stop_reason": "max_tokens"}
    no = {"finish_reason": "content_filter"} if language == "openai" else {"stop_reason": "refusal"}
    prose = (
        {"message": {"content": "Here you are.", "tool_calls": []}, "finish_reason": "stop"}
        if language == "openai"
        else {"content": [{"type": "text", "text": "Here you are."}], "stop_reason": "end_turn"}
    )
    counted = (
        {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200}
        | {"prompt_tokens_details": {"cached_tokens": 400}, "completion_tokens_details": {"reasoning_tokens": 50}}
        if language == "openai"
        else {"input_tokens": 500, "cache_read_input_tokens": 400, "cache_creation_input_tokens": 100}
        | {"output_tokens": 200}
    )
    back = ["remediation_started"]
    return {
        "busy": Fault(script=[BUSY, fine], calls=[FAILED, ONCE]),
        "broken": Fault(script=[BROKEN, fine], calls=[FAILED, ONCE]),
        "down": Fault(script=[BROKEN], status="failed", code="provider_unavailable", calls=[FAILED] * 2),
        "silent": Fault(script=[Misbehaviour.NEVER_ANSWER, fine], calls=[LOST, ONCE], complete=False),
        "severed": Fault(script=[Misbehaviour.HANG_UP_IN_MID_STREAM, fine], calls=[LOST, ONCE], complete=False),
        "truncated": Fault(script=[saying(language, **cut)], status="failed", code="output_truncated", calls=[ONCE]),
        "refused": Fault(script=[saying(language, **no)], status="failed", code="model_refused", calls=[ONCE]),
        "prosaic": Fault(script=[saying(language, **prose), fine], calls=MENDED, events=back),
        "invalid": Fault(script=[saying(language, nothing), fine], calls=MENDED, events=back),
        "wrongtool": Fault(script=[saying(language, tool="delete_everything"), fine], calls=MENDED, events=back),
        "hopeless": Fault(
            script=[saying(language, nothing)],
            status="failed",
            code="validation_exhausted",
            calls=[*MENDED, (3, "remediate", "committed")],
            events=back * 2,
        ),
        "cached": Fault(script=[saying(language, usage=counted)], calls=[ONCE]),
    }


@contextmanager
def misbehaving(data_dir: Path) -> Iterator[tuple[Machine, ModelServer]]:
    """Provide an installation whose providers do everything wrong that there is."""
    everything = {f"{language}-{word}": each.script for language in MODELS for word, each in faults(language).items()}
    with model_server(Answer(), scripts=everything) as server, machine(data_dir) as installed:
        installed.environment |= {
            **{f"{name.upper()}_API_KEY": "sk-test" for name in MODELS},
            "OPENAI_BASE_URL": f"{server.url}/v1",
            "ANTHROPIC_BASE_URL": server.url,
            "MODEL_STREAMING": "0",
            "MODEL_FIRST_TOKEN_SECONDS": str(FIRST_TOKEN_SECONDS),
        }
        installed.serve()
        for language, model in MODELS.items():
            _publish(installed, data_dir / "catalog", language, model, int(FIRST_TOKEN_SECONDS))
        yield installed, server


def _publish(installed: Machine, folder: Path, language: str, model: str, seconds: int) -> None:
    step = {
        **{"id": "one", "name": "One", "role": "writer", "task": "Write.", "produces": "one", "model": model},
        "output_schema": SCHEMA,
        "timeout_seconds": seconds * 2,
        "retries": {"max_tries": 2, "base_seconds": 0.1},
    }
    roles = {"writer": {"name": "Writer", "instructions": "You write."}}
    workflow = {"id": language, "name": "W", "description": "Writes.", "roles": roles, "steps": [step]}
    (folder / language).mkdir(parents=True)
    (folder / language / "workflow.yaml").write_text(yaml.safe_dump(workflow), encoding="utf-8")
    installed.manage("load_catalog", "--catalog", str(folder))


def test_each_fault_ends_as_it_should_and_leaves_nothing_running(data_dir: Path) -> None:
    with misbehaving(data_dir) as (installed, _), installed.client() as client:
        started = {
            (language, word): start_execution(client, f"{language}-{word}", workflow_id=language, key=word)
            for language in MODELS
            for word in faults(language)
        }
        wrong = [
            f"{language}, {word}: {found}"
            for (language, word), execution_id in started.items()
            if (found := _ended(client, execution_id, faults(language)[word]))
        ]
        assert not wrong, "\n".join([*wrong, installed.logs()])
        assert client.get("/executions/", params={"status": "running"}).json()["data"] == []
        buckets = [_usage(client, started[language, "cached"]) for language in MODELS]
    assert buckets == [
        {"input_tokens": 600, "cache_read_input_tokens": 400, "cache_write_input_tokens": 0}
        | {"output_tokens": 200, "reasoning_tokens": 50, "total_tokens": 1200},
        {"input_tokens": 500, "cache_read_input_tokens": 400, "cache_write_input_tokens": 100}
        | {"output_tokens": 200, "reasoning_tokens": 0, "total_tokens": 1200},
    ]


def _ended(client: httpx.Client, execution_id: str, fault: Fault) -> str:
    """Return what is not as it should be, nothing when all is."""
    ended = wait_for_status(client, execution_id, "completed", "failed", "waiting", "cancelled")
    costs = client.get(f"/telemetry/executions/{execution_id}/costs").json()
    calls = [
        (attempt["attempt"], call["kind"], call["status"])
        for step in costs["steps"]
        for attempt in step["attempts"]
        for call in attempt["calls"]
    ]
    events = client.get(f"/executions/{execution_id}/events").json()["data"]
    last = "step_completed" if fault.status == "completed" else "step_failed"
    told = [event["event_type"] for event in events if event["step_id"] == "one"]
    seen = {
        "status": ended["status"],
        "code": ended["error"] and ended["error"]["code"],
        "told": [event["data"]["failure_code"] for event in events if event["event_type"] == "step_failed"],
        "calls": calls,
        "events": told,
        "complete": ended["cost_complete"],
    }
    wanted = {
        "status": fault.status,
        "code": fault.code,
        "told": [fault.code] if fault.code else [],
        "calls": list(fault.calls),
        "events": ["step_started", *fault.events, last],
        "complete": fault.complete,
    }
    return (
        ""
        if seen == wanted
        else json.dumps({name: (seen[name], wanted[name]) for name in seen if seen[name] != wanted[name]})
    )


def _usage(client: httpx.Client, execution_id: str) -> Mapping[str, int]:
    usage = client.get(f"/executions/{execution_id}").json()["usage"]
    return {name: number for name, number in usage.items() if name.endswith("tokens")}
