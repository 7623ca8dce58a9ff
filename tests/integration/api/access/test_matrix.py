"""Every operation for every caller, as the table in docs/access.md says."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.test import Client, override_settings

from access.authentication import HasRight
from executions.db_threads import in_thread
from tests.integration.api.access import world as worlds
from tests.integration.api.access.examples import EXAMPLES, PATCH
from tests.integration.api.access.world import Caller, World
from tests.integration.streams.client import Browser
from tests.support import openapi_answers

PAGE = Path(__file__).parents[4] / "docs" / "access.md"
#: These read with connections of their own, which see only what is committed.
COMMITTED = (
    "GET /executions/{}/stream",
    "GET /scopes/{}/{}/stream",
    "GET /inbox/stream",
    "GET /executions/{}/steps/{}/prompt",
    "GET /executions/{}/calls",
    "GET /executions/{}/calls/{}",
)
#: Codes of refusals of limited tokens. The owner is no author, whatever the token.
CODES = frozenset({"right-missing", "scope-forbidden", "author-required"})
#: Callers who may not read the things: their answers name nothing of these, but in a path that the request names.
OUTSIDE = ("anonymous", "stranger", "author", "token elsewhere", "retired")


@dataclass(frozen=True)
class Row:
    """A row of the table: operations, and the status for each caller."""

    operations: tuple[str, ...]
    statuses: dict[str, int]


def table() -> list[Row]:
    """Return the rows of the page's table of operations."""
    lines = PAGE.read_text(encoding="utf-8").partition("\n| operations |")[2].splitlines()
    callers = [cell.strip() for cell in lines[0].strip(" |").split("|")]
    rows = []
    for line in lines[2:]:
        if not line.startswith("|"):
            break
        first, *cells = [cell.strip() for cell in line.strip("|").split("|")]
        operations = tuple(re.sub(r"\{\w+\}", "{}", each) for each in re.findall("`([^`]+)`", first))
        rows.append(Row(operations, dict(zip(callers, map(int, cells), strict=True))))
    return rows


def operations() -> set[str]:
    """Return the operations of the OpenAPI document."""
    paths = Client().get("/api/v1/openapi.json").json()["paths"]
    named = {
        f"{method.upper()} {path.removeprefix('/api/v1')}" for path, methods in paths.items() for method in methods
    }
    return {re.sub(r"\{\w+\}", "{}", each) for each in named}


def send(operation: str, world: World, caller: Caller, *, query: str = "") -> Any:
    """Send the example of an operation, hold the answer against the OpenAPI document, and undo what it has done.

    `query` replaces the query of the example.
    """
    ask = EXAMPLES[operation](world, caller)
    path = f"{ask.path.partition('?')[0]}?{query}" if query else ask.path
    headers = {**ask.headers, **({} if caller.token is None else {"Authorization": f"Bearer {caller.token}"})}
    given: dict[str, Any] = {"headers": headers}
    if ask.body is not None:
        kind = {"json": "application/json", PATCH: PATCH}.get(ask.form)
        data = json.dumps(ask.body) if kind else ask.body
        given |= {"data": data, **({"content_type": kind} if kind else {})}
    with transaction.atomic():
        response = getattr(world.client, operation.split()[0].lower())(f"/api/v1{path}", **given)
        if response.status_code < 400:  # other tests look at problems
            openapi_answers.check(response)
        transaction.set_rollback(True)
    return response


def leaks(response: Any, world: World) -> list[str]:
    """Return what an answer has of the things, its request and the ids of the request aside."""
    if response.status_code >= 400 or response.streaming:
        return []
    if response.request["PATH_INFO"] == "/api/v1/invitations/accept":
        return []  # it tells the person of the scope
    text = response.content.decode(errors="replace")
    if response.request["PATH_INFO"].rstrip("/").endswith("/bulk"):
        return ["an outcome"] if '"status":"cancelled"' in text else []
    return [each for each in world.secrets() if each in text]


def test_the_table_and_the_examples_have_every_operation_once() -> None:
    listed = [each for row in table() for each in row.operations]
    assert sorted(listed) == sorted(operations()), "docs/access.md has other operations than the OpenAPI document"
    assert set(EXAMPLES) == set(listed), "examples.py has other operations than docs/access.md"


@override_settings(MIDDLEWARE=[each for each in settings.MIDDLEWARE if not each.startswith("orchestrator.")])  # CPU
def test_every_operation_answers_every_caller_as_the_table_says(db: None) -> None:
    world, wrong = worlds.build(), []
    for row in table():
        for operation in set(row.operations) - set(COMMITTED):
            for column, expected in row.statuses.items():
                response = send(operation, world, world.callers[column])
                if response.status_code != expected:
                    wrong.append(f"{operation} of {column}: {response.status_code}, not {expected}")
                if column in OUTSIDE and (found := leaks(response, world)):
                    wrong.append(f"{operation} of {column} tells {found}")
                if column.startswith("token ") and response.status_code == 403:
                    assert response.json()["code"] in CODES, (operation, column)
    assert not wrong, "\n".join(wrong)


@override_settings(MIDDLEWARE=[each for each in settings.MIDDLEWARE if not each.startswith("orchestrator.")])  # CPU
def test_no_operation_ignores_an_unknown_parameter(db: None) -> None:
    world, wrong = worlds.build(), {}
    for operation in sorted(set(EXAMPLES) - {each for each in EXAMPLES if each.endswith("/stream")}):
        for query in ("surprise=1", "format=exe"):
            response = send(operation, world, world.callers["staff"], query=query)
            told = response.json()["errors"] if response.status_code == 422 else []
            if "/" + query.partition("=")[0] not in [each["pointer"] for each in told]:
                wrong[f"{operation}?{query}"] = response.status_code
    assert not wrong


async def test_what_reads_committed_data_answers_every_caller_as_the_table_says(browser: Browser) -> None:
    world = await in_thread(worlds.build)
    expected = {
        (operation, column): status
        for row in table()
        for operation in row.operations
        if operation in COMMITTED
        for column, status in row.statuses.items()
    }
    found = {
        (operation, column): await status_of(browser, operation, world, world.callers[column])
        for operation, column in expected
    }
    assert found == expected


async def status_of(browser: Browser, operation: str, world: World, caller: Caller) -> int:
    """Return the status of an answer; a stream is left once its headers are there."""
    if not operation.endswith("/stream"):
        return int((await in_thread(send, operation, world, caller)).status_code)
    named = {
        "GET /inbox/stream": "inbox",
        "GET /scopes/{}/{}/stream": f"project/{worlds.KEY}",
    }
    channel = named.get(operation, world.executions["asking"].id)
    async with browser.get(channel, token=caller.token) as answer:
        return answer.status


def test_every_operation_says_which_right_it_needs() -> None:
    """What says nothing needs all rights, which would be an oversight."""
    from django.urls import get_resolver

    lacking = []
    for pattern in _patterns(get_resolver("orchestrator.urls").url_patterns):
        view = getattr(pattern.callback, "cls", None)
        if view is None or HasRight not in view.permission_classes:
            continue
        actions = getattr(pattern.callback, "actions", None) or {
            each: each for each in view.http_method_names if each != "options" and hasattr(view, each)
        }
        named = getattr(view, "required_rights", {})
        lacking += [f"{view.__name__}.{each}" for each in actions.values() if each not in named]
    assert not lacking, f"name the rights of {sorted(set(lacking))} in required_rights"


def _patterns(patterns: Any) -> Any:
    for each in patterns:
        if hasattr(each, "url_patterns"):
            yield from _patterns(each.url_patterns)
        else:
            yield each
