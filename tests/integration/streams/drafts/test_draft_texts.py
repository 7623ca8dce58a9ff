"""Draft text among the events of a log, for one client: in place, soon, and without repetition."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from executions.engine.domain.events import DELTA, EventType
from executions.persistence.drafts import CHANNEL as DRAFTS
from executions.progress import cursor
from executions.progress.cursor import Cursor
from executions.progress.event_reader import FeedTable, Reader
from executions.progress.hub import Listener
from executions.progress.inbox_watch import InboxWatch
from executions.progress.live_drafts import LiveDrafts
from executions.progress.publisher import ProgressPublisher
from executions.progress.sse import Message
from tests.factories.drafts import Tables, Written
from tests.factories.events import ListLog, make_event
from tests.support.waiting import HANG_SECONDS

QUIET = 60.0


class House:
    """A web process that follows one execution, whose first event says that a step has begun."""

    def __init__(self) -> None:
        self.tables = Tables(last=0)
        self.execution_id = self.tables.execution_id
        self.log = ListLog()
        self.publisher = ProgressPublisher(queue_size=10)
        self.live = LiveDrafts(self.tables, self.publisher)  # type: ignore[arg-type]
        unfollowed = ProgressPublisher(queue_size=1)
        self._listener = Listener(
            events=(self.log, self.publisher),
            feeds=(FeedTable(Reader()), unfollowed),
            drafts=self.live,
            inboxes=InboxWatch(),
        )
        self.tables.steps["one"] = Written()
        self.commit()

    def commit(self, event_type: str = EventType.STEP_STARTED) -> None:
        """Store an event."""
        self.tables.last += 1
        self.log.append(make_event(self.execution_id, self.tables.last, event_type))

    async def happen(self) -> None:
        """Store an event, and hear of it."""
        self.commit()
        await self._listener.hear(str(self.execution_id))

    async def write(self, text: str) -> None:
        """Store a piece of the step's text, and hear of it."""
        self.tables.steps["one"].text += text
        self.tables.store("one")
        await self._listener.hear(str(self.execution_id), channel=DRAFTS)

    def follow(self, *, after: int = 0) -> AsyncGenerator[list[Message], None]:
        """Return what a client gets."""
        one = Cursor(self.execution_id, after=after, log=self.log, publisher=self.publisher, side_channel=self.live)
        return one.follow(keepalive_seconds=QUIET)


def _texts(messages: list[Message]) -> list[tuple[int, str]]:
    """Return offset and text of each delta."""
    shown: list[dict[str, Any]] = [
        json.loads(message.payload.split(b"data: ", 1)[1])["data"] for message in messages if message.kind == DELTA
    ]
    return [(data["offset"], data["text"]) for data in shown]


async def _next(client: AsyncGenerator[list[Message], None]) -> list[Message]:
    async with asyncio.timeout(HANG_SECONDS):
        return await anext(client)


async def test_what_was_not_shown_before_an_event_is_shown_after_it() -> None:
    house = House()
    client = house.follow()
    await _next(client)
    await house.write("Once ")
    await house.happen()  # the client has not looked yet, and the model is silent from now on
    messages = await _next(client)
    assert ([message.kind for message in messages], _texts(messages)) == (["step_started", DELTA], [(0, "Once ")])


async def test_who_comes_back_while_the_model_is_silent_gets_the_text_so_far() -> None:
    house = House()
    client = house.follow()
    await _next(client)
    await house.write("Once ")
    house.commit()  # and no process is notified
    again = house.follow(after=1)
    messages = await _next(again)
    assert ([message.number for message in messages], _texts(messages)) == ([2, 2], [(0, "Once ")])


async def test_texts_that_cannot_be_read_are_asked_for_again_after_a_while_and_hold_up_no_event(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cursor, "RETRY_SECONDS", 0.1)
    house = House()
    await house.write("Once ")
    house.tables.away = True
    client = house.follow()
    assert [message.kind for message in await _next(client)] == ["step_started"]
    coming = asyncio.create_task(_next(client))
    while house.log.reads < 3:
        await asyncio.sleep(0.01)
    house.tables.away = False
    assert _texts(await coming) == [(0, "Once ")]
    assert house.log.reads < 6, "it asked all the time"


async def test_a_client_that_does_not_read_gets_one_bigger_piece_and_holds_none() -> None:
    house = House()
    client = house.follow()
    await _next(client)
    for number in range(50):
        await house.write(f"{number} ")
    messages = await _next(client)
    assert _texts(messages) == [(0, "".join(f"{number} " for number in range(50)))]
    await house.write("end")
    assert _texts(await _next(client)) == [(len(house.tables.steps["one"].text) - 3, "end")]


async def test_nothing_of_a_step_comes_after_its_end() -> None:
    house = House()
    client = house.follow()
    await _next(client)
    await house.write("Once ")
    del house.tables.steps["one"]
    await house.happen()
    assert [message.kind for message in await _next(client)] == ["step_started"]
    assert not house.live.shows(house.execution_id)
    await house.happen()
    assert [message.kind for message in await _next(client)] == ["step_started"]


async def test_what_a_failed_try_has_written_is_void_when_the_next_one_begins() -> None:
    house = House()
    client = house.follow()
    await _next(client)
    await house.write("Once ")
    assert _texts(await _next(client)) == [(0, "Once ")]
    house.tables.steps["one"] = Written(ordinal=2)
    await house.write("")
    assert _texts(await _next(client)) == [(0, "")]
    await house.write("Then ")
    assert _texts(await _next(client)) == [(0, "Then ")]


async def test_after_an_emptied_table_with_restarted_ids_new_text_still_arrives() -> None:
    house = House()
    client = house.follow()
    await _next(client)
    for text in ("Once ", "upon ", "a time "):
        await house.write(text)
    await _next(client)
    house.tables.crash()
    house.live.forget()
    await house.write("there ")  # it is seen that the beginning is lost
    await house.write("was ")
    messages = await _next(client)
    assert _texts(messages) == [(17, "there was ")]


async def test_events_cost_no_reading_of_texts_where_there_are_none() -> None:
    house = House()
    client = house.follow()
    await _next(client)
    read = house.tables.reads
    await house.happen()
    assert [message.kind for message in await _next(client)] == ["step_started"]
    assert house.tables.reads == read


async def test_those_who_ask_at_once_are_served_with_one_statement() -> None:
    house = House()
    house.publisher.subscribe(house.execution_id)
    gate = asyncio.Event()
    house.tables.gates.append(gate)
    asking = [asyncio.create_task(house.live.load(house.execution_id, 1)) for _ in range(100)]
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(*asking)
    assert house.tables.reads == 2  # the first alone, the others together


async def test_who_leaves_while_reading_for_others_leaves_them_nothing_unread() -> None:
    house = House()
    house.publisher.subscribe(house.execution_id)
    house.tables.steps["one"].text = "Once"
    house.tables.store("one")
    house.tables.gates.append(asyncio.Event())  # never opened
    reading = asyncio.create_task(house.live.refresh([house.execution_id]))
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    await house.live.refresh([])
    assert _texts(house.live.unsent(house.execution_id, 1, {})) == [(0, "Once")]
