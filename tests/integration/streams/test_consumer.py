"""The stream over ASGI: authorization, start position, and content."""

from __future__ import annotations

import asyncio
import gc
import re
from uuid import uuid4

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client

from access.models import Scope, ScopeRole
from access.permissions import Role
from common.api.parsers import Utf8Request
from executions.db_threads import in_thread
from executions.progress.sse import Message
from tests.factories.streams import ASKED, COMPLETE, SKIPPED, STARTED, happen, make_user, prepared
from tests.integration.streams.client import Browser, ids, parsed
from tests.support.waiting import HANG_SECONDS

pytestmark = pytest.mark.django_db(transaction=True)


async def test_a_stream_is_an_event_stream_that_no_proxy_holds_back(browser: Browser) -> None:
    execution_id, token = await prepared(STARTED)
    async with browser.get(execution_id, token=token, headers={"X-Request-ID": "abc-12345"}) as answer:
        assert answer.status == 200
        assert answer.headers["content-type"] == "text/event-stream"
        assert answer.headers["cache-control"] == "no-store, no-transform"
        assert answer.headers["x-accel-buffering"] == "no"
        assert answer.headers["x-request-id"] == "abc-12345"
        assert await answer.read() == "retry: 2000\n\n"


async def test_an_event_is_one_json_object_under_its_name_and_number(browser: Browser) -> None:
    execution_id, token = await prepared(STARTED, SKIPPED)
    async with browser.get(execution_id, token=token) as answer:
        await answer.read()
        raw = await answer.read()
        assert raw.startswith("event: execution_started\nid: 1\ndata: {")
        event = parsed(raw)[1]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event.pop("timestamp"))
        assert event == {
            "id": "2",
            "event": "step_skipped",
            "event_type": "step_skipped",
            "execution_id": str(execution_id),
            "step_id": "draft",
            "sequence": 2,
            "data": {"reason": "two\nlines"},
        }


async def test_a_silent_stream_holds_nothing_of_what_it_has_sent(browser: Browser) -> None:
    execution_id, token = await prepared(STARTED, SKIPPED)

    def held() -> list[object]:
        messages = [each for each in gc.get_objects() if type(each) is Message]
        requests = [each for each in gc.get_objects() if type(each) is Utf8Request]
        mine = [each for each in messages if each.channel == execution_id]
        return [*mine, *(each for each in requests if str(execution_id) in each.path)]

    async with browser.get(execution_id, token=token) as answer:
        await answer.events(2)
        async with asyncio.timeout(HANG_SECONDS):
            while held():
                await asyncio.sleep(0.01)


async def test_start_clarification_and_complete_arrive_live_and_the_stream_ends(browser: Browser) -> None:
    execution_id, token = await prepared()
    async with browser.get(execution_id, token=token) as answer:
        await happen(execution_id, STARTED)
        assert [event["event"] for event in await answer.events(1)] == ["execution_started"]
        await happen(execution_id, ASKED)
        assert [event["event"] for event in await answer.events(1)] == ["clarification_needed"]
        await happen(execution_id, SKIPPED, COMPLETE)
        assert [event["event"] for event in parsed(await answer.rest())][2:] == ["step_skipped", "complete"]


async def test_every_one_of_several_clients_gets_everything(browser: Browser) -> None:
    execution_id, token = await prepared(STARTED)
    async with (
        browser.get(execution_id, token=token) as first,
        browser.get(execution_id, token=token, query="last_event_id=1") as second,
    ):
        await happen(execution_id, ASKED)
        await happen(execution_id, SKIPPED, COMPLETE)
        assert ids(await first.rest()) == ["1", "2", "3", "4"]
        assert ids(await second.rest()) == ["2", "3", "4"]


async def test_a_finished_execution_is_replayed_whole_and_ends(browser: Browser) -> None:
    execution_id, token = await prepared(STARTED, SKIPPED, COMPLETE)
    async with browser.get(execution_id, token=token) as answer:
        assert ids(await answer.rest()) == ["1", "2", "3"]
        await answer.task


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"Last-Event-ID": "2"}, ""),
        ({"Last-Event-ID": "execution-1:2"}, ""),
        ({}, "last_event_id=2"),
        ({}, "lastEventId=2"),
        ({}, "last_event_id=channel%3A2"),
        ({"Last-Event-ID": "2"}, "last_event_id=1"),
    ],
)
async def test_a_client_goes_on_after_the_last_event_it_names(
    browser: Browser, headers: dict[str, str], query: str
) -> None:
    execution_id, token = await prepared(STARTED, ASKED, SKIPPED, COMPLETE)
    async with browser.get(execution_id, token=token, headers=headers, query=query) as answer:
        assert ids(await answer.rest()) == ["3", "4"]


@pytest.mark.parametrize("last", ["x", "-1", "1.5", "", "channel:", "\xb2", "1 ", "9" * 19])
async def test_a_last_id_that_is_no_number_is_refused(browser: Browser, last: str) -> None:
    execution_id, token = await prepared(STARTED, ASKED, SKIPPED)
    async with browser.get(execution_id, token=token, headers={"Last-Event-ID": f"c:{last}"}) as answer:
        await answer.rest()
        assert answer.status == 400
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] == "bad-last-event-id"


@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize("last", [4, 99_999_999_999])
async def test_a_client_that_has_more_than_the_log_is_told_to_begin_anew(
    browser: Browser, last: int, ended: bool
) -> None:
    """The database has lost what it was sent: its numbers are given to other events."""
    execution_id, token = await prepared(STARTED, ASKED, *([COMPLETE] if ended else [SKIPPED]))
    async with browser.get(execution_id, token=token, headers={"Last-Event-ID": str(last)}) as answer:
        text = await answer.until("id: 3\n")
        assert "event: stream-reset" in text
        assert f'"data": {{"oldest": 4, "asked": {last}}}' in text
        if not ended:
            await happen(execution_id, COMPLETE)
            text = await answer.rest()
            assert ids(text)[-1:] == ["4"]
        await answer.rest()
        assert answer.ended


async def test_after_the_last_event_of_an_ended_execution_there_is_nothing(browser: Browser) -> None:
    execution_id, token = await prepared(STARTED, COMPLETE)
    async with browser.get(execution_id, token=token, headers={"Last-Event-ID": "2"}) as answer:
        assert answer.status == 204
        assert await answer.rest() == ""


@pytest.mark.parametrize(
    "authorization", [None, "Bearer wrong", "Bearer", "Basic YTpi", "Token wrong", "Bearer \xff\xfe"]
)
async def test_a_stream_needs_a_valid_token(browser: Browser, authorization: str | None) -> None:
    execution_id, _ = await prepared(STARTED)
    headers = {"Authorization": authorization} if authorization else {}
    async with browser.get(execution_id, headers=headers) as answer:
        await answer.rest()
        assert answer.status == 401
        assert answer.headers["www-authenticate"] in {"Bearer", "Token"}
        problem = answer.json()
        assert set(problem) == {
            "type",
            "title",
            "status",
            "detail",
            "instance",
            "code",
            "errors",
            "error_count",
            "request_id",
        }
        assert problem["instance"] == f"/executions/{execution_id}/stream"
        assert problem["request_id"] == answer.headers["x-request-id"] == "made-here"


async def test_the_word_token_is_as_good_as_bearer(browser: Browser) -> None:
    execution_id, token = await prepared(STARTED, COMPLETE)
    async with browser.get(execution_id, headers={"Authorization": f"Token {token}"}) as answer:
        assert answer.status == 200


async def test_a_session_is_as_good_as_a_token(browser: Browser) -> None:
    execution_id, _ = await prepared(STARTED, COMPLETE)

    def log_in() -> str:
        client = Client()
        client.force_login(get_user_model().objects.get(username="alice"))
        return client.cookies["sessionid"].value

    cookie = f"sessionid={await in_thread(log_in)}"
    async with browser.get(execution_id, headers={"Cookie": cookie}) as answer:
        assert answer.status == 200
        assert ids(await answer.rest()) == ["1", "2"]
    async with browser.get(execution_id, headers={"Cookie": "sessionid=made-up"}) as answer:
        assert answer.status == 401


async def test_what_does_not_exist_and_what_is_not_yours_look_the_same(browser: Browser) -> None:
    execution_id, _ = await prepared(STARTED)
    _, stranger = await in_thread(make_user, "mallory")
    answers = []
    for wanted in (execution_id, uuid4()):
        async with browser.get(wanted, token=stranger) as answer:
            await answer.rest()
            assert answer.status == 404
            answers.append({**answer.json(), "instance": None})
    assert answers[0] == answers[1]


async def test_a_viewer_of_the_scope_may_follow(browser: Browser) -> None:
    execution_id, _ = await prepared(STARTED, COMPLETE)

    def let_in() -> str:
        user, token = make_user("vera")
        ScopeRole.objects.create(scope=Scope.objects.get(key=str(execution_id)), user=user, role=Role.VIEWER)
        return token

    token = await in_thread(let_in)
    async with browser.get(execution_id, token=token) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("method", ["HEAD", "POST", "OPTIONS", "DELETE"])
async def test_a_stream_can_only_be_read(browser: Browser, method: str) -> None:
    execution_id, token = await prepared(STARTED)
    async with browser.get(execution_id, token=token, method=method) as answer:
        await answer.rest()
        assert answer.status == 405
        assert answer.headers["allow"] == "GET"
        assert answer.json()["code"] == "method-not-allowed"


async def test_a_host_that_is_not_ours_is_refused(browser: Browser) -> None:
    execution_id, token = await prepared(STARTED)
    async with browser.get(execution_id, token=token, headers={"Host": "evil.example"}) as answer:
        await answer.rest()
        assert answer.status == 400
        assert answer.json()["code"] == "bad-request"


async def test_a_silent_line_is_kept_alive(browser: Browser, settings: object) -> None:
    settings.STREAM_KEEPALIVE_SECONDS = 0.05  # type: ignore[attr-defined]
    execution_id, token = await prepared()
    async with browser.get(execution_id, token=token) as answer:
        assert await answer.read() == "retry: 2000\n\n"
        assert await answer.read() == ": keep-alive\n\n"


async def test_a_client_that_leaves_ends_its_stream_at_once_and_no_other(browser: Browser) -> None:
    execution_id, token = await prepared(STARTED)
    async with browser.get(execution_id, token=token) as staying:
        async with browser.get(execution_id, token=token) as leaving:
            await leaving.events(1)
        assert leaving.task.done()
        await happen(execution_id, SKIPPED, COMPLETE)
        assert ids(await staying.rest()) == ["1", "2", "3"]
    assert browser.streams.publisher.unread([execution_id]) == {}


async def test_an_open_stream_ends_cleanly_when_the_process_stops(browser: Browser) -> None:
    execution_id, token = await prepared(STARTED)
    async with browser.get(execution_id, token=token) as answer:
        await answer.events(1)
        browser.streams.end()
        assert ids(await answer.rest()) == ["1"]


async def test_an_open_stream_holds_no_thread_and_no_connection_of_its_own(browser: Browser) -> None:
    execution_id, token = await prepared(STARTED)
    async with asyncio.TaskGroup() as group:
        opened = asyncio.Barrier(31)

        async def follow() -> None:
            async with browser.get(execution_id, token=token) as answer:
                await answer.events(1)
                await opened.wait()
                assert ids(await answer.rest())[-1] == "2"

        for _ in range(30):
            group.create_task(follow())
        await opened.wait()
        assert await in_thread(connections_of_streams) <= 5
        await happen(execution_id, COMPLETE)


def connections_of_streams() -> int:
    """Count what this process has open besides Django's own pool."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND application_name IN ('scriptorium-stream', 'scriptorium-listener')"
        )
        return int(cursor.fetchone()[0])


async def test_a_bug_is_a_problem_that_the_log_has(
    browser: Browser, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("hunter2")

    execution_id, token = await prepared(STARTED)
    monkeypatch.setattr("executions.progress.authorization.last_event_id", broken)
    async with browser.get(execution_id, token=token) as answer:
        await answer.rest()
        assert (answer.status, answer.headers["content-type"]) == (500, "application/problem+json")
        assert answer.json()["code"] == "internal"
        assert "hunter2" not in answer.text
    assert "hunter2" in caplog.text
