"""Request bodies with a charset: UTF-8 is accepted, and no other codec is loaded."""

from __future__ import annotations

import codecs
import gzip
import threading
from collections.abc import Iterator
from functools import cache
from typing import Any

import httpx
import pytest
from adrf.views import APIView as AsyncAPIView
from django.test import override_settings
from django.urls import URLPattern, URLResolver, get_resolver, path
from rest_framework.parsers import BaseParser
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.api.views import ApiMixin, ApiView
from orchestrator.web.asgi_handler import Handler

CHARSETS = [
    "punycode",
    "utf-7",
    "utf-16",
    "iso-8859-1",
    "idna",
    "unicode_escape",
    "raw_unicode_escape",
    "undefined",
    "base64",
    "rot13",
    "zlib",
    "bz2_codec",
    "mbcs",
    "no-such-codec",
    "",
    "utf-8; charset=punycode",
    "punycode; charset=utf-8",
    "utf-8, application/json; charset=punycode",
    "x" * 4_000,
]
TYPES = ["application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "text/plain"]
PATHS = ["/api/v1/auth/token", "/api/v1/executions/", "/login/", "/admin/login/", "/healthz", "/nothing/here"]
PART = b'--b\r\nContent-Disposition: form-data; name="username"\r\nContent-Type: text/plain; charset=spied\r\n\r\n'
FORM = PART + b'\xffa-\r\n--b\r\nContent-Disposition: form-data; name="_charset_"\r\n\r\nspied\r\n--b--\r\n'


handler = cache(Handler)


async def post(where: str, content_type: str, body: bytes = b"a-", **headers: str) -> httpx.Response:
    """Send a body to the application."""
    transport = httpx.ASGITransport(app=handler())  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.post(where, content=body, headers={"Content-Type": content_type, **headers})


@pytest.fixture
def looked_up() -> Iterator[list[str]]:
    """The names of codecs that Python does not know and was asked for."""
    asked: list[str] = []

    def search(name: str) -> None:
        asked.append(name)

    codecs.register(search)
    yield asked
    codecs.unregister(search)


@pytest.mark.parametrize("charset", CHARSETS)
@pytest.mark.parametrize("kind", TYPES)
async def test_another_charset_is_refused(charset: str, kind: str) -> None:
    for where in PATHS:
        response = await post(where, f"{kind}; charset={charset}")
        assert response.status_code == 415, where
        if where.startswith("/api/"):
            assert response.headers["Content-Type"] == "application/problem+json"
            assert response.json()["code"] == "unsupported-media-type"
            assert response.json()["request_id"] == response.headers["X-Request-ID"]


@pytest.mark.parametrize(
    "parameter",
    ["charset*=utf-8''a%00b", "charset*=punycode''a", "x*=spied''%41", "x*0*=spied''%41; x*1*=%42", "X* =spied''%41"],
)
async def test_a_parameter_in_a_charset_of_its_own_is_refused(parameter: str, looked_up: list[str]) -> None:
    for where in PATHS:
        assert (await post(where, f"application/json; {parameter}")).status_code == 415, where
    assert looked_up == []


@pytest.mark.parametrize("kind", TYPES)
async def test_no_codec_is_looked_up(kind: str, looked_up: list[str]) -> None:
    for where in PATHS:
        await post(where, f"{kind}; charset=spied")
    assert looked_up == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("where", ["/login/", "/admin/login/", "/api/v1/auth/token"])
async def test_a_part_of_a_form_does_not_choose_its_codec(where: str, looked_up: list[str]) -> None:
    response = await post(where, "multipart/form-data; boundary=b", FORM)
    assert response.status_code in {200, 403, 415}
    assert looked_up == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("charset", ["utf-8", "UTF-8", '"utf-8"', "'utf-8'", "utf8", "Utf-8 ", '"UTF-8"; x=y'])
@pytest.mark.parametrize("name", ["charset", "Charset", " charset "])
async def test_utf_8_is_read_however_it_is_written(charset: str, name: str) -> None:
    response = await post("/api/v1/auth/token", f"application/json;{name}={charset}", '{"ünknown": 1}'.encode())
    assert response.status_code == 422, response.text
    assert "/ünknown" in {error["pointer"] for error in response.json()["errors"]}


async def test_without_a_body_there_is_nothing_to_refuse() -> None:
    assert (await post("/api/v1/nothing", "application/json; charset=punycode", b"")).status_code == 404


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "br", "deflate, gzip", "identity, gzip", "x-unknown", "\\"])
@pytest.mark.parametrize("body", [gzip.compress(b"{}"), b"{}"], ids=["compressed", "not compressed"])
async def test_a_compressed_body_is_refused(coding: str, body: bytes) -> None:
    for where in PATHS:
        response = await post(where, "application/json", body, **{"Content-Encoding": coding})
        assert (response.status_code, response.headers["Accept-Encoding"]) == (415, "identity"), where
        if where.startswith("/api/"):
            assert response.json()["code"] == "unsupported-media-type"
            assert "Content-Encoding" in response.json()["detail"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("coding", ["identity", "Identity", "", "identity, identity"])
async def test_a_body_that_is_not_compressed_may_say_so(coding: str) -> None:
    response = await post("/api/v1/auth/token", "application/json", b"{}", **{"Content-Encoding": coding})
    assert response.status_code == 422


class ThreadParser(BaseParser):
    """Tells where it was asked."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        return threading.get_ident()


class Telling(ApiView):
    authentication_classes = ()
    permission_classes = [AllowAny]
    parser_classes = [ThreadParser]

    async def post(self, request: Request) -> Response:
        return Response({"parsed": request.data, "handled": threading.get_ident()})


urlpatterns = [path("telling", Telling.as_view())]


@override_settings(ROOT_URLCONF="tests.integration.web.test_charsets")
async def test_a_body_is_parsed_in_the_thread_of_its_view_beside_the_event_loop() -> None:
    told = (await post("/telling", "application/json", b"{}")).json()
    assert told["handled"] == told["parsed"] != threading.get_ident()


def views(patterns: list[URLPattern | URLResolver]) -> Iterator[type[APIView]]:
    """Yield the classes of all views of Django REST framework."""
    for each in patterns:
        if isinstance(each, URLResolver):
            yield from views(each.url_patterns)
        elif (found := getattr(each.callback, "cls", None)) is not None:
            yield found


def test_every_view_of_ours_parses_beside_the_event_loop() -> None:
    ours = {view for view in views(get_resolver().url_patterns) if not view.__module__.startswith("drf_spectacular")}
    assert len(ours) >= 8
    assert {view for view in ours if {AsyncAPIView, ApiMixin} <= set(view.__mro__)} == ours
