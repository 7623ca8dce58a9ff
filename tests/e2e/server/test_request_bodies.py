"""Request bodies over real HTTP on each server: without a length, empty, too large, and hostile."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.e2e.memory import file_readers, resident, watched
from tests.e2e.processes import ON_EITHER, PASSWORD, Machine, copy_of, machine, start_execution, wait_until
from tests.factories.files import pdfs
from tests.integration.documents.extraction.test_process import HOSTILE
from tests.support.waiting import HANG_SECONDS

pytestmark = pytest.mark.e2e

START = b'{"workflow_id": "vendor-assessment", "scope_type": "project", "scope_id": "chunks", "input": "A brief."}'
JSON = {"Content-Type": "application/json"}
READERS, MEMORY = 2, 256 * 1024 * 1024  # processes that read files, and the most that each has
GROWTH = 128 * 1024 * 1024  # of the web process
BOMBS = {"bomb.docx", "nested.zip", "laughs.docx", "endless.pdf", "expanding.pdf", "huge.png"}
FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module", params=ON_EITHER)
def served(
    request: pytest.FixtureRequest, prepared: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machine]:
    """A running server without a worker: executions stay `pending`."""
    limits = {"FILE_READERS": str(READERS), "FILE_MEMORY_BYTES": str(MEMORY), "FILE_SECONDS": "3600"}
    with machine(copy_of(prepared, tmp_path_factory.mktemp("bodies")), server=request.param, **limits) as installed:
        installed.serve("--no-worker")
        yield installed


@pytest.fixture(scope="module")
def client(served: Machine) -> Iterator[httpx.Client]:
    with served.client("alice") as authenticated:
        yield authenticated


@pytest.fixture
def pending(client: httpx.Client) -> str:
    """An execution that no worker takes."""
    return start_execution(client, "A brief.", workflow_id="vendor-assessment", key="bodies")


def chunks(body: bytes, size: int = 7) -> Iterator[bytes]:
    """Yield a body in pieces; httpx sends it with `Transfer-Encoding: chunked`."""
    for start in range(0, len(body), size):
        yield body[start : start + size]


def send(
    client: httpx.Client, path: str, body: bytes, *, method: str = "POST", kind: str = "application/json"
) -> httpx.Response:
    """Send a body without its length."""
    headers = {"Content-Type": kind, "If-Match": "*"}  # any version, where one has to be named
    response = client.request(method, path, content=chunks(body), headers=headers)
    assert response.request.headers["Transfer-Encoding"] == "chunked"
    assert "Content-Length" not in response.request.headers
    return response


def pointers(response: httpx.Response) -> set[str]:
    """Return where a refused request was wrong."""
    assert response.status_code == 422, response.text
    return {error["pointer"] for error in response.json()["errors"]}


def test_a_start_in_chunks_is_a_start(client: httpx.Client) -> None:
    response = send(client, "/executions/", START)
    assert (response.status_code, response.json()["scope_id"]) == (201, "chunks"), response.text


def test_a_limit_in_chunks_is_set(client: httpx.Client, pending: str) -> None:
    response = send(client, f"/executions/{pending}/budget", b'{"max_calls": 5}', method="PATCH")
    assert (response.status_code, response.json()["budget"]["max_calls"]) == (200, 5), response.text
    assert client.get(f"/executions/{pending}").json()["budget"]["max_calls"] == 5


def test_a_typo_in_chunks_does_not_cancel(client: httpx.Client, pending: str) -> None:
    assert pointers(send(client, f"/executions/{pending}/cancel", b'{"typo": 1}')) == {"/typo"}
    assert client.get(f"/executions/{pending}").json()["status"] == "pending"


def test_a_retry_in_chunks_goes_on_from_its_step(client: httpx.Client, pending: str) -> None:
    assert client.post(f"/executions/{pending}/cancel").status_code == 200
    refused = send(client, f"/executions/{pending}/retry", b'{"from_step": "nope"}')
    assert refused.status_code in {404, 422}, refused.text
    assert client.get(f"/executions/{pending}").json()["status"] == "cancelled"
    step = client.get(f"/executions/{pending}/steps").json()["data"][0]["step_id"]
    response = send(client, f"/executions/{pending}/retry", b'{"from_step": "%s"}' % step.encode())
    assert (response.status_code, response.json()["status"]) == (200, "running"), response.text


@pytest.mark.parametrize("path", ["/executions/{id}/stream-tickets", "/scopes/project/bodies/stream-tickets"])
def test_a_ticket_in_chunks_lasts_as_long_as_it_says(client: httpx.Client, pending: str, path: str) -> None:
    response = send(client, path.format(id=pending), b'{"seconds": 5}')
    assert response.status_code == 201, response.text
    assert datetime.fromisoformat(response.json()["expires_at"]) < datetime.now(UTC) + timedelta(seconds=30)


def test_a_name_and_a_password_in_chunks_get_a_token(served: Machine) -> None:
    body = b'{"username": "alice", "password": "%s"}' % PASSWORD.encode()
    with httpx.Client(base_url=f"{served.url}/api/v1") as asking:
        assert send(asking, "/auth/token", body).status_code == 201


def test_an_estimate_in_chunks_is_of_its_brief(client: httpx.Client) -> None:
    response = send(client, "/workflows/vendor-assessment/estimate", b'{"input": "A brief."}')
    assert response.status_code == 200, response.text


def test_every_path_that_takes_a_body_reads_it_in_chunks(client: httpx.Client, pending: str) -> None:
    known: dict[str, Any] = client.get("/openapi.json").json()["paths"]
    values = {"execution_id": pending, "step_id": "scoring", "workflow_id": "vendor-assessment"}
    values |= {"scope_type": "project", "scope_id": "bodies", "id": str(uuid4()), "number": "1"}
    values |= {"entry_id": str(uuid4()), "username": "bob"}
    asked = []
    for path, operations in known.items():
        for method in {"post", "put", "patch"} & operations.keys():
            if (
                "application/json"
                not in operations[method].get("requestBody", {"content": ["application/json"]})["content"]
            ):
                continue  # a file, or a JSON Patch
            if path.startswith("/api/v1/workflows") and not path.endswith("/estimate"):
                continue  # for authors alone, which the user of these tests is not
            address = re.sub(r"\{(\w+)\}", lambda found: values[found[1]], path.removeprefix("/api/v1"))
            body = send(client, address, b'{"zzz": 1}', method=method.upper())
            assert "/zzz" in pointers(body), (method, path)
            asked.append(path)
    assert {"/api/v1/executions", "/api/v1/auth/token", "/api/v1/executions/{execution_id}/retry"} < set(asked)


def test_an_empty_body_in_chunks_is_an_empty_body(client: httpx.Client, pending: str) -> None:
    assert {"/workflow_id", "/scope_id"} < pointers(send(client, "/executions/", b""))
    assert send(client, f"/executions/{pending}/cancel", b"").status_code == 200


@pytest.mark.parametrize("length", [True, False], ids=["announced", "in chunks"])
@pytest.mark.parametrize("path", ["/api/v1/executions/", "/api/v1/auth/token", "/login/"])
def test_a_body_above_the_limit_is_refused(served: Machine, path: str, length: bool) -> None:
    body = b'{"a": "' + b"x" * 3_000_000 + b'"}'
    content = body if length else chunks(body, 65_536)
    response = httpx.post(f"{served.url}{path}", content=content, headers=JSON)
    assert (response.status_code, response.json()["code"]) == (413, "too-large")
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["request_id"] == response.headers["X-Request-ID"]
    assert response.json()["detail"].endswith("it may have at most 2,097,152 bytes.")


@pytest.mark.parametrize("kind", [FORM, "multipart/form-data; boundary=b"])
def test_a_form_in_chunks_logs_in(served: Machine, kind: str) -> None:
    with httpx.Client(base_url=served.url) as browser:
        browser.get("/login/")
        fields = {"username": "alice", "password": PASSWORD, "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
        if kind == FORM:
            body = "&".join(f"{name}={value}" for name, value in fields.items())
        else:
            parts = (f'--b\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in fields.items())
            body = "".join(parts) + "--b--\r\n"
        response = send(browser, "/login/", body.encode(), kind=kind)
    assert (response.status_code, response.headers["Location"]) == (302, "/")


def test_the_application_parses_forms_and_not_the_server_before_it(client: httpx.Client) -> None:
    response = client.post("/files", content=b"no parts", headers={"Content-Type": "multipart/form-data"})
    assert (response.status_code, response.json()["code"]) == (400, "parse-error")
    assert response.headers["Content-Type"] == "application/problem+json"


def test_a_charset_that_is_slow_to_decode_blocks_no_request(served: Machine) -> None:
    body = b'{"username": "' + b"a" * 800_000 + b'-"}'
    headers = {"Content-Type": "application/json; charset=punycode"}

    def attack(_: int) -> int:
        return httpx.post(
            f"{served.url}/api/v1/auth/token", content=body, headers=headers, timeout=HANG_SECONDS
        ).status_code

    slowest = 0.0
    with ThreadPoolExecutor(4) as pool:
        attacks = [pool.submit(attack, number) for number in range(40)]
        while not all(each.done() for each in attacks):
            slowest = max(slowest, httpx.get(f"{served.url}/healthz", timeout=HANG_SECONDS).elapsed.total_seconds())
    assert {each.result() for each in attacks} == {415}
    assert slowest < 2.0


@pytest.mark.parametrize("name", ["Cafe%CC%81", "%20Caf%C3%A9%0A", "Caf%C3%A9"])
def test_a_stream_is_found_by_every_spelling_of_its_scope(client: httpx.Client, name: str) -> None:
    start_execution(client, "A brief.", workflow_id="vendor-assessment", key="Caf\u00e9")
    with client.stream("GET", f"/scopes/project/{name}/stream") as response:
        assert (response.status_code, response.headers["Content-Type"]) == (200, "text/event-stream")
    assert send(client, f"/scopes/project/{name}/stream-tickets", b"{}").status_code == 201


def test_a_stream_with_very_many_query_fields_is_refused(client: httpx.Client, pending: str) -> None:
    query = "&".join(f"a{number}=1" for number in range(1_100))
    for path in (
        f"/executions/{pending}/stream",
        "/scopes/project/bodies/stream",
        "/executions/",
    ):
        response = client.get(f"{path}?{query}")
        assert (response.status_code, response.json()["code"]) == (400, "bad-request"), path
        assert response.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("query", [b"a=\xff", b"types=\xff\xfe", b"last_event_id=\xc3", b"ticket=\xff"])
def test_a_stream_with_bytes_that_are_no_text_in_its_query_is_refused(
    served: Machine, pending: str, query: bytes
) -> None:
    path = f"/api/v1/executions/{pending}/stream".encode()
    request = b"GET %s?%s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n" % (path, query)
    with socket.create_connection(("127.0.0.1", served.port), timeout=HANG_SECONDS) as connection:
        connection.sendall(request)
        answer = connection.recv(65_536)
    assert int(answer.split()[1]) in {400, 401, 422}, answer


@pytest.mark.torture
def test_many_right_passwords_at_once_from_one_address_are_all_taken(served: Machine) -> None:
    served.token("commuter")

    def log_in(_: int) -> int:
        body = {"username": "commuter", "password": PASSWORD}
        return httpx.post(f"{served.url}/api/v1/auth/token", json=body, timeout=HANG_SECONDS).status_code

    with ThreadPoolExecutor(9) as threads:
        assert list(threads.map(log_in, range(9))) == [201] * 9


def test_an_upload_has_a_limit_of_its_own(client: httpx.Client) -> None:
    def upload(size: int) -> httpx.Response:
        return client.post("/files", files={"file": ("notes.txt", b"Some words.\n" * (size // 12))})

    stored = upload(1_500_000)
    assert (stored.status_code, stored.json()["size"]) == (201, 1_500_000)
    refused = upload(3 * 1024 * 1024)  # above the limit of other bodies
    assert refused.status_code == 422, refused.text
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "too-large")
    above = upload(21 * 1024 * 1024)
    assert (above.status_code, above.json()["code"]) == (413, "too-large")
    assert above.json()["detail"].endswith("a file may have at most 20,971,520 bytes.")


def test_hostile_files_harm_no_other_user(served: Machine, client: httpx.Client) -> None:
    pid = served.processes[-1].pid
    before = resident(pid)
    endless = client.build_request("POST", "/files", files={"file": ("a.pdf", pdfs.with_forms_in_forms(12))})
    head = "".join(f"{name}: {value}\r\n" for name, value in endless.headers.items())

    def upload(name: str, data: bytes) -> int:
        return client.post("/files", files={"file": (name, data)}).status_code

    with watched(pid) as most, served.client("bob") as other, ExitStack() as lines:
        with ThreadPoolExecutor() as threads:
            attacks = [threads.submit(upload, name, data) for name, data, _ in HOSTILE if name in BOMBS]
            while not all(each.done() for each in attacks):
                assert other.get("/documents/").status_code == 200
        assert {each.result() for each in attacks} <= {422, 503}  # 503: others were read for too long
        for _ in range(READERS):
            line = lines.enter_context(socket.create_connection(("127.0.0.1", served.port)))
            line.sendall(f"POST /api/v1/files HTTP/1.1\r\n{head}\r\n".encode() + endless.read())
        wait_until(lambda: len(file_readers(pid)) == READERS, what="the reading of two files")
        start_execution(other, "A brief.", workflow_id="vendor-assessment", key="bystander")
        assert len(file_readers(pid)) == READERS  # the files are still read
    wait_until(lambda: not file_readers(pid), what="the end of the reading: the clients have left")
    assert most.number == READERS
    assert most.readers <= READERS * MEMORY
    assert most.web - before <= GROWTH, most
