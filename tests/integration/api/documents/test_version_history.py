"""Edits, restores, decisions and models in any order: versions are 1, 2, 3 …, and no version of a person is lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from documents.models import Document, DocumentVersion
from executions.engine.domain.calls import Call
from executions.engine.domain.execution import Execution
from executions.engine.transitions import acceptance
from tests.factories import reports
from tests.factories.callers import Caller
from tests.support.fuzzing import examples

pytestmark = pytest.mark.django_db

DECISIONS = ("accept", "merge", "reject", "request_changes")
MOVES = ("begin", "hand_in", "put", "restore", *DECISIONS)
#: What happens, to which execution or version, and whether the person has read the newest version.
HISTORIES = st.lists(st.tuples(st.sampled_from(MOVES), st.integers(0, 3), st.booleans()), min_size=4, max_size=10)


@dataclass
class Work:
    """A step that works on the document, and the versions of the head that it knows."""

    execution: Execution
    call: Call
    known: int  # newest version that it was shown, with all before it


@dataclass
class History:
    """A document, and all that happens to it."""

    ada: Caller
    by_person: int = 0  # newest version that a person made the head
    working: list[Work] = field(default_factory=list)
    waiting: list[Work] = field(default_factory=list)
    texts: int = 0

    def text(self) -> dict[str, str]:
        """Return a content that no version has."""
        self.texts += 1
        return {"title": f"Text {self.texts}"}

    def begin(self) -> None:
        """Let one more execution begin its step."""
        begun, call = reports.begin(reports.claim(reports.start(self.ada.user)))
        self.working.append(Work(begun, reports.answered(call), head().version if Document.objects.exists() else 0))

    def hand_in(self, number: int) -> None:
        """Let a model hand in its document."""
        if not self.working:
            return
        work = self.working.pop(number % len(self.working))
        reports.move(
            reports.claim(reports.read(work.execution)),
            lambda now, context: acceptance.request_acceptance(now, "research", context=context),
            calls=(work.call,),
            document=replace(reports.paper(work.execution, "research"), content=self.text()),
        )
        self.waiting.append(work)

    def decide(self, decision: str, number: int, *, is_current: bool) -> int:
        """Decide about a waiting document; return the status of the response."""
        if not self.waiting:
            return 0
        work = self.waiting[number % len(self.waiting)]
        read, newest = reports.read(work.execution).steps["research"].document_version, head().version
        body: dict[str, Any] = {"decision": decision, "document_version": read, "comment": "Why"}
        if decision in {"accept", "merge"}:
            body |= {"decision": "accept", "head_version": newest if is_current else newest + 1}
            body |= {"content": self.text()} if decision == "merge" else {}
        response = self.ada.post(f"/executions/{work.execution.id}/steps/research/acceptance", body)
        if response.status_code == 200:
            self.waiting.remove(work)
            if decision == "request_changes":
                known = work.known if is_proposed(read) else max(work.known, read or 0)
                self.working.append(Work(work.execution, reports.begun_again(work.execution), known))
        return int(response.status_code)

    def edit(self, move: str, number: int, *, is_current: bool) -> int:
        """Edit the document, or restore a version; return the status of the response."""
        path = f"/documents/{head().id}"
        tag = f'"{head().version if is_current else head().version + 1}"'
        if move == "put":
            return int(self.ada.put(path, {"content": self.text()}, If_Match=tag).status_code)
        return int(self.ada.post(f"{path}/restore", {"version": number + 1}, If_Match=tag).status_code)


def head() -> Document:
    return Document.objects.get()


def is_proposed(version: int | None) -> bool:
    return DocumentVersion.objects.get(version=version or 0).proposed


def stored() -> list[tuple[int, Any, bool]]:
    return list(DocumentVersion.objects.order_by("version").values_list("version", "content", "proposed"))


@contextmanager
def undone() -> Iterator[None]:
    """Undo all that the block stores."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=HISTORIES)
def test_no_version_is_lost_in_any_order(ada: Caller, moves: list[tuple[str, int, bool]]) -> None:
    with undone():
        reports.publish(gated=True)
        history = History(ada)
        history.begin()
        history.hand_in(0)
        for move, number, is_current in moves:
            before, old = stored(), head()
            status, known = 200, 0
            if move == "begin":
                history.begin()
            elif move == "hand_in":
                known = history.working[number % len(history.working)].known if history.working else known
                history.hand_in(number)
            elif move in DECISIONS:
                status = history.decide(move, number, is_current=is_current)
            else:
                status = history.edit(move, number, is_current=is_current)
            after, new = stored(), head()
            assert after[: len(before)] == before
            assert [version for version, _, _ in after] == [*range(1, new.last_version + 1)]
            assert len(after) - len(before) <= (status in {0, 200})
            assert new.version == max(version for version, _, proposed in after if not proposed)
            assert status in {0, 200, 404, 409, 412, 422}
            if move == "hand_in":
                assert (new.version == old.version) == (len(after) == len(before) or history.by_person > known)
            elif new.version != old.version:
                assert is_current  # the person has read the version that was replaced
                history.by_person = new.version
