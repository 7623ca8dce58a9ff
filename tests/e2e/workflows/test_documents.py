"""Documents of people and models, with real processes: nothing is overwritten, and only what is stale is paid for."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.processes import (
    CLOSED_BRIEF,
    Machine,
    copy_of,
    machine,
    start_execution,
    stream,
    wait_for_status,
    wait_until,
)
from tests.factories.files import pdfs
from tests.factories.files.workbooks import picture
from tests.factories.workflows import plan, step
from tests.integration.llm import wire_formats
from tests.integration.llm.calls.test_files import as_sent
from tests.integration.llm.model_server import Answer, ModelServer, model_server

pytestmark = pytest.mark.e2e

QUICK_RECOVERY = {"WORKER_SILENT_SECONDS": "2", "RECOVERY_INTERVAL_SECONDS": "0.5", "HEARTBEAT_SECONDS": "0.5"}
PDF = pdfs.simple("The city lends 400 tools.", "The budget is 20,000 EUR.")
SEES, READS = "model-that-sees", "model-that-reads"
MINUTES = {
    "title": "Tool library",
    "date": "not said",
    "participants": [],
    "decisions": [{"decision": "The budget is 20,000 EUR.", "evidence": "Page two."}],
    "actions": [],
    "open_points": [],
}


def _minutes(citing: str) -> Answer:
    content = {**MINUTES, "summary": f"The city lends tools from three branches, see brief.pdf#{citing} for it."}
    return Answer(streamed=wire_formats.completion("submit_document", content))


def _start(client: httpx.Client, **body: Any) -> str:
    given = {"workflow_id": "vendor-assessment", "scope_type": "project", "scope_id": "p1", "input": CLOSED_BRIEF}
    response = client.post("/executions/", json=given | body)
    assert response.status_code == 201, response.text
    return str(response.json()["execution_id"])


def _documents(client: httpx.Client, key: str = "p1") -> dict[str, dict[str, Any]]:
    """Return the documents of the scope by type."""
    found = client.get("/documents/", params={"scope_type": "project", "scope_id": key}).json()["data"]
    return {each["type"]: client.get(f"/documents/{each['id']}").json() for each in found}


def _put(client: httpx.Client, document: dict[str, Any], **changed: Any) -> dict[str, Any]:
    body = {"content": document["content"] | changed, "note": "checked"}
    headers = {"If-Match": f'"{document["version"]}"'}
    response = client.put(f"/documents/{document['id']}", json=body, headers=headers)
    assert response.status_code == 200, response.text
    return dict(response.json())


def _kinds(client: httpx.Client, execution_id: str, kind: str) -> int:
    return sum(event == kind for _, event, _ in stream(client, execution_id))


def test_an_edit_while_a_model_writes_survives_a_killed_worker_and_only_stale_steps_are_paid_for(
    fresh: Machine,
) -> None:
    fresh.environment |= QUICK_RECOVERY
    fresh.serve("--no-worker")
    worker = fresh.start("worker")
    with fresh.client() as client:
        wait_for_status(client, start_execution(client, CLOSED_BRIEF, workflow_id="vendor-assessment"), "completed")
        worker.terminate()
        worker.wait()

        # A model writes all documents again. A person edits the costs, and the worker is killed.
        slow = fresh.start("worker", REHEARSAL_LATENCY_SECONDS="30")
        second = _start(client)
        wait_until(lambda: _is_running(client, second, "cost"), what="the call about the costs")
        before = _documents(client)["cost-assessment"]
        edited = _put(client, before, title="Edited by a person")
        slow.kill()
        slow.wait()
        fresh.start("worker")
        wait_for_status(client, second, "waiting")
        head = _documents(client)["cost-assessment"]
        assert (head["version"], head["proposed_version"]) == (2, 3)
        assert head["content"] == edited["content"]

        # The person merges both.
        proposed = client.get(f"/documents/{head['id']}/versions/3").json()["content"]
        assert proposed["title"] != edited["content"]["title"]
        merged = {"document_version": 3, "head_version": 2, "decision": "accept"}
        merged |= {"content": proposed | {"title": "Merged by a person"}}
        response = client.post(f"/executions/{second}/steps/cost/acceptance", json=merged)
        assert response.status_code == 200, response.text
        wait_for_status(client, second, "completed")
        assert _documents(client)["cost-assessment"]["content"] == merged["content"]
        versions = client.get(f"/documents/{head['id']}/versions").json()["data"]
        assert sorted(each["version"] for each in versions) == [1, 2, 3, 4]
        assert _kinds(client, second, "document_edited") >= 1
        assert "unknown" in _calls(client, second)  # the killed worker may have paid for it

        # All is current; after an edit, only what was made from it is made again.
        third = _start(client, reuse="current")
        wait_for_status(client, third, "completed")
        assert _kinds(client, third, "step_reused") == 4
        merged_head = _documents(client)["cost-assessment"]
        _put(client, merged_head, title="Edited once more")
        assert _documents(client)["vendor-recommendation"]["stale"]
        fourth = _start(client, reuse="current")
        wait_for_status(client, fourth, "completed")
        assert (_kinds(client, fourth, "step_reused"), len(_calls(client, fourth))) == (3, 1)

        # The same content again makes nothing stale.
        now = _documents(client)["cost-assessment"]
        restored = client.post(
            f"/documents/{now['id']}/restore", json={"version": 4}, headers={"If-Match": f'"{now["version"]}"'}
        )
        assert restored.status_code == 200, restored.text
        assert _documents(client)["vendor-recommendation"]["stale"]  # it was made from the edit
        last = client.post(
            f"/documents/{now['id']}/restore",
            json={"version": now["version"]},
            headers={"If-Match": f'"{restored.json()["version"]}"'},
        )
        assert last.status_code == 200, last.text
        assert not any(each["stale"] for each in _documents(client).values())


def test_an_edit_in_a_chain_pays_for_what_follows_it_and_the_old_content_for_nothing(shared: Machine) -> None:
    def stale() -> set[str]:
        return {kind for kind, each in _documents(client, key).items() if each["stale"]}

    key, chain = "chain", {"workflow_id": "strategy-document", "scope_id": "chain"}
    with shared.client() as client:
        wait_for_status(client, _start(client, **chain), "completed")
        first = _documents(client, key)["requirements"]
        edited = _put(client, first, title="Edited by a person")
        assert stale() == {"architecture", "review"}
        restored = client.post(
            f"/documents/{first['id']}/restore", json={"version": 1}, headers={"If-Match": f'"{edited["version"]}"'}
        )
        assert (restored.status_code, stale()) == (200, set())

        _put(client, restored.json(), title="Edited once more")
        again = _start(client, **chain, reuse="current")
        wait_for_status(client, again, "completed")
        assert (_kinds(client, again, "step_reused"), len(_calls(client, again))) == (2, 2)
        assert stale() == set()


def _is_running(client: httpx.Client, execution_id: str, step_id: str) -> bool:
    steps = client.get(f"/executions/{execution_id}/steps").json()["data"]
    return any(step["step_id"] == step_id and step["status"] == "running" for step in steps)


def _calls(client: httpx.Client, execution_id: str) -> list[str]:
    costs = client.get(f"/telemetry/executions/{execution_id}/costs").json()
    return [call["status"] for step in costs["steps"] for each in step["attempts"] for call in each["calls"]]


@pytest.fixture(scope="module")
def models() -> Iterator[ModelServer]:
    """A server of models: one for minutes, and two for anything, of which one reads files."""
    scripts = {f'"{name}"': [Answer()] for name in (SEES, READS)}
    with model_server(_minutes("page=9"), _minutes("page=2"), scripts=scripts) as server:
        yield server


@pytest.fixture(scope="module")
def asking(models: ModelServer, prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A running server and worker that ask these models."""
    at = {"OPENAI_API_KEY": "sk-test", "OPENAI_BASE_URL": f"{models.url}/v1", "MODEL_FAST": "openai:gpt-5"}
    with machine(copy_of(prepared, tmp_path_factory.mktemp("asking")), **at) as installed:
        installed.serve(MODEL_FILES=f"openai:{SEES}=all")
        yield installed


def _upload(client: httpx.Client, name: str, data: bytes) -> str:
    uploaded = client.post("/files", files={"file": (name, data)})
    assert uploaded.status_code == 201, uploaded.text
    return str(uploaded.json()["id"])


def test_a_model_that_reads_files_gets_their_bytes_and_another_their_text(asking: Machine, models: ModelServer) -> None:
    flow = plan(id="see", steps=[step(1, model=f"openai:{SEES}"), step(2, model=f"openai:{READS}")])
    files = {"brief.pdf": PDF, "site.png": picture("PNG")}
    with asking.client("rosa") as client:
        assert client.post("/workflows/", json=flow).status_code == 201
        brief = {"text": "Look.", "files": [_upload(client, name, data) for name, data in files.items()]}
        execution_id = _start(client, workflow_id="see", scope_id="seen", input=brief)
        wait_for_status(client, execution_id, "completed")
    said = {each["model"]: each["messages"][-1]["content"] for each in models.asked if each["model"] in (SEES, READS)}
    sent = [as_sent(each) for each in said[SEES]]
    assert [each for each in sent if each[0] != "text"] == [("application/pdf", PDF), ("image/png", files["site.png"])]
    seen, read = "".join(str(text) for kind, text in sent if kind == "text"), str(said[READS])
    assert "The file is attached, as it is. Cite its pages as brief.pdf#page=1 to brief.pdf#page=2." in seen
    assert "The budget is 20,000 EUR." not in seen
    assert "The budget is 20,000 EUR." in read
    assert "[Only the text of this file is shown: this model does not read PDFs.]" in read
    assert "The picture cannot be shown to this model." in read
    assert not any(base64.b64encode(data).decode() in read for data in files.values())


def test_a_page_of_a_pdf_brief_is_cited_and_a_page_that_is_missing_is_sent_back(
    asking: Machine, models: ModelServer
) -> None:
    with asking.client() as client:
        brief = {"text": "Write minutes.", "files": [_upload(client, "brief.pdf", PDF)]}
        execution_id = _start(client, workflow_id="meeting-minutes", input=brief)
        wait_for_status(client, execution_id, "completed")
        [found] = client.get("/documents/", params={"execution_id": execution_id}).json()["data"]
        content = client.get(f"/documents/{found['id']}").json()["content"]
    first, second = (str(asked) for asked in models.asked if asked["model"] == "gpt-5")
    assert "[brief.pdf#page=2]" in first and "The budget is 20,000 EUR." in first
    assert "brief.pdf has 2 pages; page 9 does not exist" in second
    assert "brief.pdf#page=2" in content["summary"]
