"""A request as the server holds it."""

from __future__ import annotations

from orchestrator.web.daphne_protocol import BoundedRequest


def test_a_request_shows_its_path_and_never_its_query() -> None:
    request = BoundedRequest.__new__(BoundedRequest)
    request.method, request.uri, request.path = b"GET", b"/a/b?ticket=hunter2", b"/a/b"
    assert f"{request!r} {request}" == "<GET /a/b> <GET /a/b>"
