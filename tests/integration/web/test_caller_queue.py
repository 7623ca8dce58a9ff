"""Many requests of one caller do not block other callers."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from ipaddress import ip_network
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import AsyncRequestFactory
from pytest_django import Settings

from orchestrator.web import caller_queue as module
from orchestrator.web.caller_queue import Caller, CallerQueueMiddleware, CallerQueues

TOKEN = {"Authorization": "Bearer one"}
SAME_TOKEN = {"Authorization": "Token one"}
OTHER_TOKEN = {"Authorization": "Bearer two"}


class Views:
    """Stands for all views: a request is at work until `end` lets it go."""

    def __init__(self) -> None:
        self.at_work: Counter[str] = Counter()
        self.max_count: Counter[str] = Counter()
        self.end = asyncio.Event()

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        who = request.headers.get("Authorization", "").split()[-1:] or [*request.COOKIES.values(), "anonymous"]
        await self.work(who[0])
        return HttpResponse()

    async def work(self, who: str) -> None:
        self.at_work[who] += 1
        self.max_count[who] = max(self.max_count[who], self.at_work[who])
        await self.end.wait()
        self.at_work[who] -= 1


async def send(
    middleware: CallerQueueMiddleware, headers: dict[str, str], times: int, *, session: str = "", method: str = "GET"
) -> list[asyncio.Task[Any]]:
    """Send requests, and return once each is at work or waits."""
    factory = AsyncRequestFactory()
    if session:
        factory.cookies["sessionid"] = session
    requests = [factory.generic(method, "/api/v1/executions/", headers=headers) for _ in range(times)]
    tasks: list[asyncio.Task[Any]] = [asyncio.ensure_future(middleware(request)) for request in requests]
    for _ in range(3):  # a task takes no more steps up to there
        await asyncio.sleep(0)
    return tasks


async def test_a_caller_has_a_few_requests_at_work_and_others_have_theirs(restrict: Callable[..., None]) -> None:
    restrict(requests_per_caller=3)
    middleware = CallerQueueMiddleware(views := Views())
    tasks = await send(middleware, TOKEN, 20) + await send(middleware, SAME_TOKEN, 5)
    tasks += await send(middleware, OTHER_TOKEN, 2) + await send(middleware, {}, 4, session="three")
    tasks += await send(middleware, {}, 30)
    assert views.at_work == {"one": 3, "two": 2, "three": 3, "anonymous": 30}
    views.end.set()
    answers = await asyncio.gather(*tasks)
    assert len(answers) == 61
    assert views.max_count["one"] == 3


async def test_logins_from_one_address_take_turns_and_readers_without_a_name_do_not(
    restrict: Callable[..., None], settings: Settings
) -> None:
    restrict(password_hashes_at_once=3)
    settings.TRUSTED_PROXIES = [ip_network("127.0.0.1")]
    middleware = CallerQueueMiddleware(views := Views())
    tasks = []
    for address in ("192.0.2.1", "192.0.2.2"):
        tasks += await send(middleware, {"X-Forwarded-For": address}, 5, method="POST")
    assert views.at_work == {"anonymous": 6}
    tasks += await send(middleware, {"X-Forwarded-For": "192.0.2.1"}, 7)
    assert views.at_work == {"anonymous": 13}
    views.end.set()
    assert len(await asyncio.gather(*tasks)) == 17


async def test_who_waits_for_too_long_is_told_to_come_back(
    restrict: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    restrict(requests_per_caller=1)
    monkeypatch.setattr(module, "MAX_WAIT_SECONDS", 0.01)
    middleware = CallerQueueMiddleware(views := Views())
    at_work, waiting = await send(middleware, TOKEN, 2)
    refused = await waiting
    assert (refused.status_code, json.loads(refused.content)["code"]) == (503, "busy")
    assert refused["Retry-After"] == "5"
    views.end.set()
    assert (await at_work).status_code == 200
    assert views.max_count["one"] == 1


async def test_a_token_that_is_called_like_a_network_takes_no_turn_of_it(settings: Settings) -> None:
    middleware = CallerQueueMiddleware(views := Views())
    tasks = await send(middleware, {"Authorization": "Bearer 127.0.0.1"}, 20)
    tasks += await send(middleware, {}, 1, method="POST")
    assert views.at_work["anonymous"] == 1
    views.end.set()
    assert len(await asyncio.gather(*tasks)) == 21


async def test_a_request_that_is_given_up_gives_its_place_to_the_next(restrict: Callable[..., None]) -> None:
    restrict(requests_per_caller=1)
    middleware = CallerQueueMiddleware(views := Views())
    at_work, waiting, next_one = await send(middleware, TOKEN, 3)
    waiting.cancel()
    at_work.cancel()
    views.at_work.clear()
    await asyncio.wait({at_work, waiting})
    views.end.set()
    await next_one
    assert views.max_count["one"] == 1


async def test_what_is_no_token_makes_no_caller_of_all_who_send_it(restrict: Callable[..., None]) -> None:
    restrict(requests_per_caller=1)
    middleware = CallerQueueMiddleware(views := Views())
    tasks = []
    for header in ("Basic c2FtZTpmb3ItYWxs", "Bearer", "Bearer ", "Digest one"):
        for session in ("ann", "bob"):
            tasks += await send(
                middleware, {"Authorization": header}, 1, session=f"{session} {header}".replace(" ", "-")
            )
    assert views.at_work.total() == 8
    views.end.set()
    await asyncio.gather(*tasks)


async def test_more_than_may_wait_are_refused_at_once(restrict: Callable[..., None]) -> None:
    restrict(requests_per_caller=2)
    middleware = CallerQueueMiddleware(views := Views())
    tasks = await send(middleware, TOKEN, 2 + module.MAX_WAITING)
    [one_more] = await send(middleware, TOKEN, 1)
    assert (await one_more).status_code == 503
    views.end.set()
    assert {answer.status_code for answer in await asyncio.gather(*tasks)} == {200}


@pytest.mark.parametrize("end", [None, ValueError("the view failed")])
async def test_nothing_is_kept_of_a_caller_without_requests(end: Exception | None) -> None:
    turns = CallerQueues()
    for caller in ("one", "two", "one"):
        try:
            async with turns.slot(Caller("token", caller, 2)):
                assert len(turns) == 1
                if end is not None:
                    raise end
        except ValueError as error:
            assert error is end
    assert len(turns) == 0
