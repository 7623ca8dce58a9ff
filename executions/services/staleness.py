"""Keeps the column that says which documents are stale."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from documents import dependencies
from documents import repository as documents
from executions.selectors import staleness

OVERLAP = timedelta(seconds=60)  # a head may become visible this long after the time that it bears


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """The result of a run."""

    until: datetime | None  # where the next run begins; None: no model has made a document yet
    changed: int  # rows


def refresh(root_id: UUID) -> int:
    """Note which documents of a root scope are stale, and return the number of changes."""
    return documents.set_stale(root_id, staleness.stale_in(root_id))


def follow(*, since: datetime | None) -> Followed:
    """Refresh the root scopes in which versions were replaced, or executions changed. A repetition changes nothing.

    Of the executions, those count that have an unaccepted document, or whose root scope has a stale one. In all other
    root scopes nothing can have changed: their documents are accepted, at version 1, and noted as current.

    Args:
        since: Where the run before ended; None: the first run of a process. It begins before the newest version of a
            model, because people's edits are followed in their own transactions.
    """
    since = since or dependencies.newest_update(by_model=True)
    until = dependencies.newest_update(by_model=False)
    if since is None or until is None:
        return Followed(until=None, changed=0)
    begin = since - OVERLAP
    roots = dependencies.roots_with_replaced_versions(since=begin) | staleness.roots_to_refresh(since=begin)
    return Followed(until=until, changed=sum(refresh(root_id) for root_id in sorted(roots)))
