"""Keeps the column that says which documents are stale."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from common.database import bulk
from documents import dependencies
from documents import repository as documents
from executions.selectors import staleness

State = tuple[int, ...]
MAX_READERS = 100  # of more, it is faster to look at the whole root scope
OVERLAP = timedelta(seconds=60)  # a head may become visible this long after the time that it bears


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """The result of a run."""

    until: datetime | None  # where the next run begins; None: no model has made a document yet
    changed: int  # rows
    refreshed: int = 0  # root scopes
    seen: Mapping[UUID, State] = field(default_factory=dict)  # for the next run


def refresh(root_id: UUID, changed: Collection[UUID]) -> int:
    """Note whether documents of a root scope, and what was made from them, are stale; return the number of changes.

    Call it once in a transaction, after all its changes.
    """
    bulk.allow_all_plans()  # a decision before has turned some off
    among = dependencies.readers(changed, root_id=root_id, limit=MAX_READERS)
    stale = staleness.stale_in(root_id) if among is None else staleness.stale_among(among)
    return documents.set_stale(root_id, stale, among=among).changed


def follow(*, since: datetime | None, seen: Mapping[UUID, State] | None = None) -> Followed:
    """Refresh the root scopes in which versions were replaced, or executions changed. A repetition changes nothing.

    Of the executions, those count that have an unaccepted document, or whose root scope has a stale one. In all other
    root scopes nothing can have changed: their documents are accepted, at version 1, and noted as current.

    Args:
        since: Where the run before ended; None: the first run of a process. It begins before the newest version of a
            model, because people's edits are followed in their own transactions.
        seen: States of root scopes in which the run before found nothing to change; these are left out.
    """
    since = since or dependencies.newest_update(by_model=True)
    until = dependencies.newest_update(by_model=False)
    if since is None or until is None:
        return Followed(until=None, changed=0)
    begin = since - OVERLAP
    roots = dependencies.roots_with_replaced_versions(since=begin) | staleness.roots_to_refresh(since=begin)
    states = staleness.root_states(roots, since=begin) if roots else {}
    right, refreshed, changed = dict[UUID, State](), 0, 0
    for root_id, state in sorted(states.items()):
        if seen is not None and seen.get(root_id) == state:
            right[root_id] = state
            continue
        found = documents.set_stale(root_id, staleness.stale_in(root_id))
        refreshed, changed = refreshed + 1, changed + found.changed
        if not found.wrong:
            right[root_id] = state
    return Followed(until=until, changed=changed, refreshed=refreshed, seen=right)
