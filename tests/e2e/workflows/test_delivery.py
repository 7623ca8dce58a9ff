"""A large workflow: epics, their designs and stories, a test plan per story, and a person's decision."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.chaos.driver import SETTINGS
from tests.chaos.model_server import counting_model
from tests.e2e.processes import Machine, machine, start_execution, stream, wait_for_status, wait_until

pytestmark = pytest.mark.e2e

BRIEF = "MARK-1: the city lends 400 tools from 3 branches. The budget is 20,000 EUR, decided by Ms Ode."
MADE = {
    "vision": 1,
    "risks": 1,
    "epics": 1,
    **{f"architecture@epic-{number}": 1 for number in (1, 2)},
    **{f"stories@epic-{number}": 1 for number in (1, 2)},
    **{f"test-plan@epic-{number}.story-{story}": 1 for number in (1, 2) for story in (1, 2)},
}


def _waiting(client: httpx.Client, execution_id: str) -> dict[str, dict[str, Any]]:
    """Return the steps whose documents wait for a decision."""
    steps = client.get(f"/executions/{execution_id}/steps", params={"limit": 200}).json()["data"]
    return {step["step_id"]: step for step in steps if step["acceptance"] and step["acceptance"]["needed"]}


def _decide(client: httpx.Client, execution_id: str, step: dict[str, Any], decision: str, comment: str = "") -> None:
    body = {"decision": decision, "document_version": step["document"]["version"], "comment": comment}
    response = client.post(f"/executions/{execution_id}/steps/{step['step_id']}/acceptance", json=body)
    assert response.status_code == 200, response.text


def _wait_for_decision(client: httpx.Client, execution_id: str, *step_ids: str, version: int = 1) -> dict[str, Any]:
    """Wait until these documents wait, and nothing else does."""

    def reached() -> dict[str, Any] | None:
        waiting = _waiting(client, execution_id)
        there = {step_id for step_id, step in waiting.items() if step["document"]["version"] == version}
        return waiting if there == set(step_ids) else None

    found: dict[str, Any] = wait_until(reached, what=f"decisions about {step_ids}")
    return found


def _check(client: httpx.Client, execution_id: str, versions: dict[str, int]) -> None:
    """Every item has its documents in a scope of its own, the log has no gap, and the costs are those of the ledger."""
    steps = client.get(f"/executions/{execution_id}/steps", params={"limit": 200}).json()["data"]
    assert {step["step_id"]: step["document"]["version"] for step in steps} == versions
    scopes = {step["step_id"]: step["scope"]["id"] for step in steps}
    assert scopes["architecture@epic-1"] == scopes["stories@epic-1"] != scopes["stories@epic-2"]
    assert len({scopes[step_id] for step_id in scopes if step_id.startswith("test-plan")}) == 4
    documents = client.get("/documents/", params={"execution_id": execution_id}).json()["data"]
    assert len(documents) == len(versions)
    sequences = [sequence for sequence, _, _ in stream(client, execution_id)]
    assert sequences == list(range(1, len(sequences) + 1))


@pytest.mark.torture
def test_a_brief_becomes_epics_that_are_worked_over_as_told_and_the_work_on_each(data_dir: Path) -> None:
    with (
        counting_model(seed=1, seconds=(0.0, 0.1)) as model,
        machine(data_dir, **SETTINGS, OPENAI_BASE_URL=f"{model.url}/v1") as installed,
    ):
        installed.serve("--no-worker")
        worker = installed.start("worker")
        with installed.client() as client:
            execution_id = start_execution(client, BRIEF, workflow_id="software-delivery")
            waiting = _wait_for_decision(client, execution_id, "epics")
            _decide(client, execution_id, waiting["epics"], "request_changes", "Put the counter first.")
            waiting = _wait_for_decision(client, execution_id, "epics", version=2)
            worker.kill()  # a waiting execution needs no worker
            worker.wait()
            _decide(client, execution_id, waiting["epics"], "accept")
            installed.start("worker")
            designs = ("architecture@epic-1", "architecture@epic-2")
            waiting = _wait_for_decision(client, execution_id, *designs)
            for step in waiting.values():
                _decide(client, execution_id, step, "accept")
            wait_for_status(client, execution_id, "completed")
            _check(client, execution_id, {**MADE, "epics": 2})
            costs = client.get(f"/telemetry/executions/{execution_id}/costs").json()
        assert set(model.bought.values()) == {1}
        assert costs["total"]["calls"] == model.bought.total() == len(MADE) + 1


def _read(client: httpx.Client, document: dict[str, Any]) -> dict[str, Any]:
    return dict(client.get(f"/documents/{document['id']}").json())


def _leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the pointer and the value of everything that contains nothing."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if not inner:
        yield place, value
    for name, each in inner:
        yield from _leaves(each, f"{place}/{name}")


def test_the_rehearsal_takes_up_what_a_person_asked_for(shared: Machine) -> None:
    wish = "The warehouse of Oberdorf has to come first."
    with shared.client("delivery") as client:
        execution_id = start_execution(client, BRIEF, workflow_id="software-delivery", key="delivery")
        waiting = _wait_for_decision(client, execution_id, "epics")
        _decide(client, execution_id, waiting["epics"], "request_changes", wish)
        waiting = _wait_for_decision(client, execution_id, "epics", version=2)
        epics = client.get(f"/documents/{waiting['epics']['document']['id']}").json()
        assert "Oberdorf" in str(epics["content"])
        assert [each["comment"] for each in epics["provenance"]["decisions"]] == [wish]

        # Changes at two passages leave all else as it is.
        goal, title = "/epics/0/goal", "/epics/1/title"
        quote = epics["content"]["epics"][0]["goal"][:12]
        comments = [{"pointer": goal, "quote": quote, "text": "Which one?"}, {"pointer": title, "text": "Name a town."}]
        asked = {"decision": "request_changes", "document_version": 2, "comments": comments, "only_commented": True}
        response = client.post(f"/executions/{execution_id}/steps/epics/acceptance", json=asked)
        assert response.status_code == 200, response.text
        waiting = _wait_for_decision(client, execution_id, "epics", version=3)
        before, after = (dict(_leaves(each["content"])) for each in (epics, _read(client, epics)))
        assert before.keys() == after.keys()
        assert {place for place in before if before[place] != after[place]} == {goal, title}
        assert "Which one?" in after[goal]
        assert after[goal].endswith(before[goal].removeprefix(quote))
        _decide(client, execution_id, waiting["epics"], "reject", "We do not want it any more.")
        assert wait_for_status(client, execution_id, "failed")["error"]["code"] == "rejected"
