"""Every path of the API over real HTTP, as a client sees it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.processes import Machine, start_execution, stream, wait_for_status

pytestmark = pytest.mark.e2e

BRIEF = "# Tool library\n\nThe city lends 400 tools from 3 branches. Ms Ode decides. The budget is 20,000 EUR."


@pytest.fixture(scope="module")
def client(shared: Machine) -> Iterator[httpx.Client]:
    with shared.client("reader") as authenticated:
        yield authenticated


@pytest.fixture(scope="module")
def finished(client: httpx.Client) -> str:
    """An execution that has ended."""
    execution_id = start_execution(client, BRIEF, workflow_id="vendor-assessment", key="api")
    wait_for_status(client, execution_id, "completed")
    return execution_id


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("/executions", {"data", "next_cursor"}),
        ("/executions/{execution}", {"execution_id", "workflow_id", "status", "created_at", "progress", "cost_usd"}),
        ("/executions/{execution}/steps", {"data", "next_cursor"}),
        ("/executions/{execution}/events", {"data", "next_cursor"}),
        ("/workflows", {"data", "next_cursor"}),
        ("/workflows/strategy-document", {"id", "name", "description", "step_count", "version"}),
        ("/workflows/strategy-document/schema/discovery", {"type", "properties", "required"}),
        ("/documents", {"data", "next_cursor"}),
        ("/documents/{document}", {"id", "type", "title", "version", "status", "content", "provenance"}),
        ("/documents/{document}/versions", {"data", "next_cursor"}),
        ("/telemetry/summary", {"totals", "averages", "by_workflow"}),
        ("/telemetry/executions/{execution}/costs", {"execution_id", "total", "steps"}),
        ("/telemetry/workflows/vendor-assessment/stats", {"workflow_id", "success_rate"}),
    ],
)
def test_a_path_answers_with_and_without_its_slash(
    client: httpx.Client, finished: str, path: str, keys: set[str], slash: str
) -> None:
    document = client.get("/documents/", params={"execution_id": finished}).json()["data"][0]["id"]
    response = client.get(path.format(execution=finished, document=document) + slash)
    assert response.status_code == 200, response.text
    assert keys <= response.json().keys()


@pytest.mark.parametrize("slash", ["", "/"])
def test_an_execution_is_started_and_cancelled_with_and_without_the_slash(client: httpx.Client, slash: str) -> None:
    body = {"workflow_id": "vendor-assessment", "scope_type": "project", "scope_id": f"s{len(slash)}", "input": BRIEF}
    started = client.post(f"/executions{slash}", json=body)
    assert started.status_code == 201
    execution_id = started.json()["execution_id"]
    assert started.headers["location"].rstrip("/").endswith(execution_id)
    assert client.post(f"/executions/{execution_id}/cancel{slash}").status_code in {200, 409}
    assert wait_for_status(client, execution_id, "cancelled", "completed")


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_stream_of_a_finished_execution_replays_all_and_ends(
    client: httpx.Client, finished: str, slash: str
) -> None:
    response = client.get(f"/executions/{finished}/stream{slash}")
    assert response.headers["content-type"].startswith("text/event-stream")
    assert "event: complete" in response.text
    events = list(stream(client, finished))
    assert [sequence for sequence, _, _ in events] == list(range(1, len(events) + 1))
    assert events[-1][1] == "complete"
    assert events == list(stream(client, finished, after=0))


def test_a_stream_resumed_in_the_middle_gives_the_rest_and_nothing_twice(client: httpx.Client, finished: str) -> None:
    events = list(stream(client, finished))
    middle = len(events) // 2
    assert list(stream(client, finished, after=middle)) == events[middle:]
    at_the_end = client.get(f"/executions/{finished}/stream", headers={"Last-Event-ID": str(len(events))})
    assert at_the_end.status_code == 204


@pytest.mark.parametrize("last", ["many", "-1", "1e6"])
def test_a_stream_refuses_a_position_that_is_none(client: httpx.Client, finished: str, last: str) -> None:
    response = client.get(f"/executions/{finished}/stream", headers={"Last-Event-ID": last})
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"


def test_nothing_is_shown_to_those_who_do_not_say_who_they_are(shared: Machine, finished: str) -> None:
    for path in ("/executions/", f"/executions/{finished}", f"/executions/{finished}/stream", "/telemetry/summary"):
        response = httpx.get(f"{shared.url}/api/v1{path}")
        assert response.status_code == 401, path
        assert response.headers["www-authenticate"].startswith("Bearer")
        assert response.headers["content-type"] == "application/problem+json"


def test_what_is_not_yours_does_not_exist(shared: Machine, client: httpx.Client, finished: str) -> None:
    document = client.get("/documents/", params={"execution_id": finished}).json()["data"][0]["id"]
    with shared.client("stranger") as stranger:
        for path in (
            f"/executions/{finished}",
            f"/executions/{finished}/steps",
            f"/executions/{finished}/events",
            f"/executions/{finished}/stream",
            f"/documents/{document}",
            f"/documents/{document}/versions",
            f"/telemetry/executions/{finished}/costs",
        ):
            assert stranger.get(path).status_code == 404, path
        assert stranger.post(f"/executions/{finished}/cancel").status_code == 404
        for path in ("/executions/", "/documents/"):
            assert stranger.get(path).json() == {"data": [], "next_cursor": None}
        assert stranger.get("/telemetry/summary").json()["totals"]["executions"] == 0


@pytest.mark.parametrize(
    ("content", "content_type", "status", "pointer"),
    [
        (b"{", "application/json", 400, None),
        (b"a=b", "application/x-www-form-urlencoded", 415, None),
        (b'{"workflow_id":"x","pad":"' + b"x" * 3_000_000 + b'"}', "application/json", 413, None),
        (
            b'{"workflow_id":"vendor-assessment","scope_type":"project","scope_id":"b","input":"x","budgett":1}',
            "application/json",
            422,
            "/budgett",
        ),
        (
            b'{"workflow_id":"vendor-assessment","scope_type":"project","input":"x"}',
            "application/json",
            422,
            "/scope_id",
        ),
        (
            b'{"workflow_id":"no-such","scope_type":"project","scope_id":"b","input":"x"}',
            "application/json",
            404,
            None,
        ),
    ],
)
def test_bad_input_gets_its_status_and_pointer_and_changes_nothing(
    client: httpx.Client, content: bytes, content_type: str, status: int, pointer: str | None
) -> None:
    before = client.get("/executions/").json()
    response = client.post("/executions/", content=content, headers={"Content-Type": content_type})
    assert response.status_code == status, response.text
    problem = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    assert problem["status"] == status
    assert problem["request_id"] == response.headers["x-request-id"]
    if pointer is not None:
        assert pointer in {error["pointer"] for error in problem["errors"]}
    assert client.get("/executions/").json() == before


def test_the_openapi_page_is_served_to_everybody_from_here_alone(shared: Machine) -> None:
    document = httpx.get(f"{shared.url}/api/v1/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert "/api/v1/executions/{execution_id}/stream" in document["paths"]
    page = httpx.get(f"{shared.url}/api/v1/docs").text
    assert "cdn." not in page
    assert "//unpkg" not in page


@pytest.mark.parametrize("name", ["", "alice"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/scopes/project/a%00b/stream"),
        ("GET", "/scopes/pro%00ject/a/stream/"),
        ("GET", "/executions/a%00b/stream"),
        ("POST", "/scopes/project/a%00b/stream-tickets"),
        ("GET", "/workflows/a%00b"),
    ],
)
def test_a_name_that_nothing_can_have_leads_nowhere(shared: Machine, name: str, method: str, path: str) -> None:
    with shared.client(name) if name else httpx.Client(base_url=f"{shared.url}/api/v1") as asking:
        response = asking.request(method, path)
    assert (response.status_code, response.json()["code"]) == (404, "not-found")
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["request_id"] == response.headers["X-Request-ID"]


def test_an_execution_has_its_stream_in_letters_of_either_case(client: httpx.Client, finished: str) -> None:
    for written in (finished, finished.upper()):
        assert client.get(f"/executions/{written}").status_code == 200
        response = client.get(f"/executions/{written}/stream")
        assert (response.status_code, response.headers["Content-Type"]) == (200, "text/event-stream")
