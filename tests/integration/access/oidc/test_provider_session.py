from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from access.oidc.faults import Fault, LoginFailed
from access.oidc.provider_session import DISCOVERY, ProviderSession, get_object
from common.addresses import is_protected

ENDLESS_PARTS = 100


class Answers(BaseHTTPRequestHandler):
    """A provider that answers each path in another wrong way."""

    protocol_version = "HTTP/1.1"
    discovery: ClassVar[dict[str, Any]] = {}

    def do_GET(self) -> None:
        bodies = {
            "/object": (200, b'{"a": 1}'),
            "/list": (200, b"[1]"),
            "/html": (200, b"<p>log in</p>"),
            "/deep": (200, b"[" * 100_000),
            "/nothing": (204, b""),
            "/error": (503, b"{}"),
            "/forbidden": (403, b"{}"),
            "/large": (200, b'{"a": "' + b"x" * 5_000 + b'"}'),
            "/redirect": (302, b"{}"),
            "/slow": (200, b""),
            "/.well-known/openid-configuration": (200, json.dumps(self.discovery).encode()),
        }
        status, body = bodies[self.path]
        self.send_response(status)
        self.send_header("Location", "/object")
        self.send_header("Content-Length", str(len(body) if self.path != "/slow" else ENDLESS_PARTS))
        self.end_headers()
        self.wfile.write(body)
        if self.path == "/slow":
            self._drip()

    def _drip(self) -> None:
        ended: threading.Event = self.server.ended  # type: ignore[attr-defined]
        for _ in range(ENDLESS_PARTS):
            if ended.wait(0.1):
                return
            self.wfile.write(b" ")

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def provider() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        server.ended = threading.Event()  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.ended.set()  # type: ignore[attr-defined]
            server.shutdown()
            thread.join()


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(LoginFailed) as failure:
        call()
    assert failure.value.fault == Fault.UNREACHABLE
    return failure.value.detail


def test_only_a_json_object_is_an_answer(provider: str, restrict: Callable[..., None]) -> None:
    restrict(oidc_bytes=4_096)
    assert get_object(f"{provider}/object") == {"a": 1}
    for path in ("list", "html", "deep", "nothing", "error", "forbidden", "large", "redirect"):
        assert f"/{path}" in refused(partial(get_object, f"{provider}/{path}"))
    with ProviderSession() as session:
        assert session.get(f"{provider}/forbidden").status_code == 403, "the token endpoint says so what is wrong"
    refused(lambda: get_object("http://192.0.2.1/object"))
    refused(lambda: get_object("http://127.0.0.1:1/object"))


def test_an_answer_that_drips_has_an_end(provider: str, restrict: Callable[..., None]) -> None:
    restrict(oidc_seconds=1)
    began = time.monotonic()
    assert "too long" in refused(lambda: get_object(f"{provider}/slow"))
    assert time.monotonic() - began < ENDLESS_PARTS * 0.1


def test_the_discovery_document_has_to_be_of_the_issuer(provider: str, settings: Any) -> None:
    settings.OIDC_ISSUER = provider
    DISCOVERY.clear()
    good = {"issuer": provider} | dict.fromkeys(("authorization_endpoint", "jwks_uri"), "https://id.example.org/x")
    good["token_endpoint"] = f"{provider}/token"
    for change in ({"issuer": f"{provider}/"}, {"jwks_uri": "http://id.example.org/x"}, {"jwks_uri": 7}):
        Answers.discovery = good | change
        refused(DISCOVERY.get)
    Answers.discovery = good
    assert DISCOVERY.get() == good
    Answers.discovery = {}
    assert DISCOVERY.get() == good, "it is reused for some minutes"
    DISCOVERY.clear()


def test_which_addresses_are_protected() -> None:
    for url in ("https://id.example.org", "http://127.0.0.1:9/x", "http://localhost", "http://[::1]:9"):
        assert is_protected(url)
    for url in (
        "http://id.example.org",
        "http://127.0.0.1.example.org",
        "ftp://localhost",
        "https://",
        "x",
        "",
        "https://[",
    ):
        assert not is_protected(url)
