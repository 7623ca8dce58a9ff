"""Draft text appears in its place among the events; a client gets each character exactly once."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from executions.progress.live_drafts import LiveDrafts
from executions.progress.publisher import ProgressPublisher
from tests.factories.drafts import Client, Tables, Written
from tests.support.fuzzing import examples

STEPS = ("one", "two")


class Scene:
    """A running execution, and a client that follows it."""

    def __init__(self) -> None:
        self.tables = Tables()
        self.publisher = ProgressPublisher(queue_size=10)
        self.publisher.subscribe(self.tables.execution_id)
        self.live = LiveDrafts(self.tables, self.publisher)  # type: ignore[arg-type]
        self.client = Client(last=1)
        self.deaf = False  # notifications are ignored
        self._grown = 0
        self._ended: Counter[str] = Counter()  # its last attempt

    def _begun(self, step_id: str) -> Written:
        if step_id not in self.tables.steps:
            self.tables.last += 1
            self.tables.steps[step_id] = Written(attempt=1 + self._ended[step_id])
        return self.tables.steps[step_id]

    async def grow(self, step_id: str) -> None:
        """The model writes."""
        self._grown += 1
        self._begun(step_id).text += f"{self._grown};"

    async def store(self, step_id: str) -> None:
        """The worker stores a piece."""
        self._begun(step_id)
        self.tables.store(step_id)

    async def store_unsure(self, step_id: str) -> None:
        """The worker stores a piece, and is not told so: the connection broke."""
        step = self._begun(step_id)
        before = step.stored, step.in_table
        self.tables.store(step_id)
        step.stored, step.in_table = before

    async def again(self, step_id: str) -> None:
        """The call failed, and is made again within the attempt."""
        self.tables.steps[step_id] = Written(attempt=(step := self._begun(step_id)).attempt, ordinal=step.ordinal + 1)

    async def remediate(self, step_id: str) -> None:
        """The next attempt begins."""
        self.tables.steps[step_id] = Written(attempt=self._begun(step_id).attempt + 1)
        self.tables.last += 1

    async def end(self, step_id: str) -> None:
        """The step is done."""
        self._ended[step_id] = self._begun(step_id).attempt
        del self.tables.steps[step_id]
        self.tables.last += 1

    async def event(self, _: str) -> None:
        """Something else happens."""
        self.tables.last += 1

    async def tell(self, _: str) -> None:
        """A notification arrives."""
        if not self.deaf:
            await self.live.refresh([self.tables.execution_id])

    async def read(self, _: str) -> None:
        """The client gets the events that there are."""
        self.client.last = self.tables.last
        await self.live.load(self.tables.execution_id, self.client.last)

    async def show(self, _: str) -> None:
        """The client gets the drafts that there are."""
        messages = self.live.unsent(self.tables.execution_id, self.client.last, self.client.sent)
        assert all(message.number == self.client.last for message in messages)
        self.client.take(messages)

    async def crash(self, _: str) -> None:
        """The database starts again, and an unlogged table is empty."""
        self.tables.crash()
        self.deaf = True

    async def listen(self, _: str) -> None:
        """The lost connection is made anew."""
        self.live.forget()
        self.deaf = False

    async def leave(self, _: str) -> None:
        """The client comes back, and knows nothing of what it was shown."""
        self.client = Client(last=self.client.last)


ACTIONS = (
    "grow",
    "grow",
    "store",
    "store",
    "store_unsure",
    "tell",
    "event",
    "read",
    "show",
    "again",
    "remediate",
    "end",
    "leave",
    "crash",
    "listen",
)


@settings(max_examples=examples(400), deadline=None)
@given(st.lists(st.tuples(st.sampled_from(ACTIONS), st.sampled_from(STEPS)), min_size=20, max_size=80))
def test_whatever_happens_the_client_has_the_text(actions: list[tuple[str, str]]) -> None:
    asyncio.run(_play(actions))


async def _play(actions: list[tuple[str, str]]) -> None:
    scene = Scene()
    for action, step_id in actions:
        await getattr(scene, action)(step_id)
    for step_id in scene.tables.steps:
        await scene.store(step_id)  # perhaps over a piece that was read already, or to see that all is lost
        await scene.store(step_id)
        if scene.tables.has_lost(step_id):  # seen with the next piece
            await scene.grow(step_id)
            await scene.store(step_id)
            await scene.store(step_id)
    for action in ("listen", "tell", "read", "show"):
        await getattr(scene, action)("")
    for step_id, step in scene.tables.steps.items():
        assert scene.client.texts.get((step_id, step.attempt), "") == step.text


async def test_a_draft_is_not_shown_to_who_has_not_its_events_or_later_ones() -> None:
    tables, publisher = Tables(steps={"one": Written(text="Once")}), ProgressPublisher(queue_size=10)
    publisher.subscribe(tables.execution_id)
    live = LiveDrafts(tables, publisher)  # type: ignore[arg-type]
    tables.store("one")
    await live.refresh([tables.execution_id])
    assert [live.unsent(tables.execution_id, number, {}) for number in (0, 2)] == [[], []]
    [message] = live.unsent(tables.execution_id, 1, {})
    assert json.loads(message.payload.split(b"data: ", 1)[1]) == {
        "event_type": "step_delta",
        "execution_id": str(tables.execution_id),
        "step_id": "one",
        "data": {"attempt": 1, "offset": 0, "text": "Once"},
    }


async def test_the_bytes_of_a_delta_are_made_once_for_all_who_are_at_the_same_place() -> None:
    tables, publisher = Tables(steps={"one": Written(text="Once")}), ProgressPublisher(queue_size=10)
    publisher.subscribe(tables.execution_id)
    live = LiveDrafts(tables, publisher)  # type: ignore[arg-type]
    tables.store("one")
    await live.load(tables.execution_id, 1)
    first, second = (live.unsent(tables.execution_id, 1, {}) for _ in range(2))
    assert first[0] is second[0]


async def test_drafts_without_followers_are_not_read() -> None:
    tables = Tables(steps={"one": Written(text="Once")}, away=True)
    live = LiveDrafts(tables, ProgressPublisher(queue_size=10))  # type: ignore[arg-type]
    await live.refresh([tables.execution_id])
    assert live.unsent(tables.execution_id, 1, {}) == []


async def test_an_answer_that_comes_late_takes_nothing_back() -> None:
    tables, publisher = Tables(steps={"one": Written(text="Once ")}), ProgressPublisher(queue_size=10)
    publisher.subscribe(tables.execution_id)
    live = LiveDrafts(tables, publisher)  # type: ignore[arg-type]
    tables.store("one")
    gate = asyncio.Event()
    tables.gates.append(gate)
    late = asyncio.create_task(live.refresh([tables.execution_id]))
    await asyncio.sleep(0)
    tables.steps["one"].text += "upon "
    tables.store("one")
    other = asyncio.create_task(live.refresh([tables.execution_id]))
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(late, other)
    [message] = live.unsent(tables.execution_id, 1, {})
    assert b'"text": "Once upon "' in message.payload
