"""The server conforms to its OpenAPI document for any input: as two users, and without a token."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.processes import CLOSED_BRIEF, Machine, copy_of, machine, start_execution, wait_for_status
from tests.e2e.server.schemathesis import Run
from tests.support.waiting import HANG_SECONDS

pytestmark = pytest.mark.e2e

OPEN_BRIEF = "# Ferry\n\nIt is undecided whether to buy a ferry or to build a bridge. The budget is 20,000 EUR."
REVOKES = ("auth_token_destroy",)  # it would end the run's own token


@pytest.fixture(scope="module")
def server(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A server whose streams end soon, so that none is waited for."""
    with machine(copy_of(prepared, tmp_path_factory.mktemp("fuzzed")), STREAM_MAX_AGE_SECONDS="0.2") as installed:
        installed.serve()
        yield installed


@pytest.fixture(scope="module")
def place(server: Machine) -> dict[str, str]:
    """What Alice has: an execution that has ended, its steps, a document, a file, its scope, and an invitation."""
    with server.client("alice") as client:
        execution_id = start_execution(client, CLOSED_BRIEF, workflow_id="vendor-assessment", key="fuzzed")
        wait_for_status(client, execution_id, "completed")
        made = client.get("/documents", params={"execution_id": execution_id}).json()["data"][0]["id"]
        call_id = client.get(f"/executions/{execution_id}/calls").json()["data"][0]["id"]
        file_id = client.post("/files", files={"file": ("brief.md", b"# A brief")}).json()["id"]
        waiting = start_execution(client, OPEN_BRIEF, key="asks")
        wait_for_status(client, waiting, "waiting")
        entry_id = client.get("/inbox/").json()["data"][0]["id"]
        invited = client.post("/scopes/project/fuzzed/invitations", json={"role": "viewer"}).json()["id"]
    people = {"username": "bob", "invitation_id": invited}
    scope = {"scope_type": "project", "scope_id": "fuzzed"}
    ids = {"execution_id": execution_id, "step_id": "security", "id": made, "file_id": file_id, "call_id": call_id}
    return {**ids, "entry_id": entry_id, **scope, **people}


def answers(server: Machine, place: dict[str, str], client: httpx.Client) -> Iterator[tuple[str, int]]:
    """Send the example of each operation about what Alice has; yield the path and the status of each answer."""
    document = httpx.get(f"{server.url}/api/v1/openapi.json").json()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if operation["operationId"] in REVOKES and "Authorization" in client.headers:
                continue
            kinds = {"application/json": {}, **operation.get("requestBody", {}).get("content", {})}
            kind, content = [*kinds.items()][-1]
            body = next((each["value"] for each in content.get("examples", {}).values()), None)
            at = path.format_map({"number": "1", "step": "x", "workflow_id": "x", **place})
            sent = {"files": {"file": ("a.md", b"# A")}} if kind == "multipart/form-data" else {"json": body}
            headers = {"If-Match": "*"} | ({} if "files" in sent else {"Content-Type": kind})
            yield path, client.request(method, server.url + at, headers=headers, **sent).status_code


def test_what_a_user_sends_is_answered_as_the_document_says(server: Machine, tmp_path: Path) -> None:
    made = Run(server.url, 0.4, token=server.token("alice"), without=REVOKES).go(tmp_path)
    assert made > 0
    assert httpx.get(f"{server.url}/healthz").status_code == 200


def test_what_a_user_sends_about_an_execution_is_too(server: Machine, place: dict[str, str], tmp_path: Path) -> None:
    run = Run(server.url, 0.3, token=server.token("alice"), parameters=place, without=REVOKES)
    assert run.go(tmp_path) > 0


def test_another_user_is_answered_as_if_there_were_nothing(server: Machine, place: dict[str, str]) -> None:
    with server.client("ada") as client:
        own = ("{execution_id}", "{id}", "{file_id}", "{scope_id}")
        found = {status for path, status in answers(server, place, client) if any(name in path for name in own)}
    assert found == {404}
    with server.client("alice") as client:
        assert client.get(f"/executions/{place['execution_id']}").json()["status"] == "completed"


def test_without_a_token_nothing_is_answered(server: Machine, place: dict[str, str]) -> None:
    with httpx.Client(timeout=HANG_SECONDS) as client:
        found = list(answers(server, place, client))
    tries = {status for path, status in found if path.endswith("/auth/token")}
    assert tries <= {401, 429}  # the other tests have tried many passwords
    assert {status for path, status in found if not path.endswith("/auth/token")} == {401}


@pytest.mark.torture
@pytest.mark.parametrize("name", ["ada", None])
def test_what_others_send_is_answered_as_the_document_says(
    server: Machine, place: dict[str, str], tmp_path: Path, name: str | None
) -> None:
    token = None if name is None else server.token(name)
    without = () if name is None else REVOKES
    assert Run(server.url, 0.15, token=token, parameters=place, without=without).go(tmp_path) > 0
