"""The page of the inbox: the list, what the person looks at, and the parts that follow events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from common.database.server import database_now
from console.inbox.lists import EntryList, Place
from console.inbox.things import Thing, people_of, subject_of
from console.shell import form_view, number_in, page_view, part_view, show_page, way_back
from executions.engine.domain.states import InboxKind
from executions.selectors import inbox


@dataclass(slots=True)
class Board:
    """The list, with what the person looks at."""

    listed: EntryList
    thing: Thing | None
    within: inbox.Reach

    @classmethod
    def read(cls, request: HttpRequest, place: Place | None = None) -> Board:
        """Read the list, and a place; without a place the first entry.

        Raises:
            NotFound: the user may not see the place.
        """
        now = database_now()
        within = inbox.reach(request.user, now)
        listed = EntryList.read(request, now=now, within=within, cursor=request.GET.get("cursor", ""))
        if place is not None:
            thing: Thing | None = Thing.find(request, place, listed.items, now=now, within=within)
        else:
            thing = Thing.of_item(listed.items[0], now) if listed.items else None
        if thing is not None:
            is_listed = any(each.place == thing.place for each in listed.rows)
            listed.show(thing.place, thing.settled_row() if thing.item is None and not is_listed else None)
        return cls(listed, thing, within)

    def back(self, request: HttpRequest) -> str:
        """Return where the person goes on after acting; a form remembers what its page has shown."""
        return way_back(request) or self.listed.back


@page_view
def entries(request: HttpRequest) -> HttpResponse:
    """Render the list, and its first entry."""
    return show_board(request, Board.read(request))


@form_view
def thing(request: HttpRequest, execution_id: UUID, *, kind: str, step_id: str = "") -> HttpResponse:
    """Render one entry beside the list."""
    return show_board(request, Board.read(request, Place.of(execution_id, kind, step_id)), is_chosen=True)


def show_board(
    request: HttpRequest, board: Board, *, is_chosen: bool = False, status: int = 200, **shown: Any
) -> HttpResponse:
    """Render the list with what the person looks at.

    Args:
        request: The request.
        board: The list and the entry.
        is_chosen: Whether the address names the entry: a narrow screen shows it instead of the list.
        status: The HTTP status.
        shown: What the template shows instead, such as a form with its faults.
    """
    listed, current, back = board.listed, board.thing, board.back(request)
    found: dict[str, Any] = {}
    if current is not None:
        found = {**subject_of(request, current, back=back), **people_of(request, current)}
    return show_page(
        request,
        "console/inbox/inbox.html",
        section="inbox",
        count=listed.waiting,
        within=board.within,
        status=status,
        in_inbox=True,
        is_chosen=is_chosen,
        thing=current,
        act_query=urlencode({**listed.form.given, "from": back}),
        listed=listed,
        **{**found, **shown},
    )


@part_view
def entry_list(request: HttpRequest) -> HttpResponse:
    """Render the list. What the person looks at stays in it after another person has settled it."""
    now = database_now()
    within = inbox.reach(request.user, now)
    listed = EntryList.read(request, now=now, within=within, cursor=request.GET.get("cursor", ""))
    place = Place.read(request.GET.get("shown", ""))
    if place is not None:
        settled = None
        if all(each.place != place for each in listed.rows):
            found = Thing.find(request, place, listed.items, now=now, within=within)
            settled = found.settled_row() if found.item is None else None
        listed.show(place, settled, index=number_in(request.GET.get("index", "")) or 0)
    return render(request, "console/inbox/list.html", {"listed": listed})


@part_view
def thing_state(request: HttpRequest, execution_id: UUID, *, kind: str, step_id: str = "") -> HttpResponse:
    """Render whether an entry still waits, and who has settled it."""
    place, now = Place.of(execution_id, kind, step_id), database_now()
    within = inbox.reach(request.user, now)
    current = Thing.find(request, place, (), now=now, within=within)
    round_number = number_in(request.GET.get("round", ""))
    is_other = place.kind is InboxKind.QUESTION and round_number is not None and _number_of(current) != round_number
    return render(request, "console/inbox/state.html", {"thing": current, "is_other": is_other, "round": current.round})


def _number_of(current: Thing) -> int | None:
    return None if current.round is None else current.round.number
