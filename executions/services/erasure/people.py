"""Erases a person: name, address, and what the person wrote.

It takes many transactions of limited size, and a command that was stopped can be run again with the same name. So what
is found by a text goes before that text: derived versions and events before answers, decisions and files, and these
before the names. The name of the account goes last.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import islice
from typing import TypeVar
from uuid import UUID

from django.db import transaction

from access.audit import Act
from access.people import erasure as accounts
from access.people.erasure import Account
from access.services import forget_answers, forget_answers_about, set_active
from common.database.server import database_now
from common.errors import Conflict, NotFound
from documents import erasure as documents
from documents.files import storage
from executions.engine.domain.acceptance import AcceptanceAction
from executions.engine.domain.states import Erasing
from executions.engine.transitions import core
from executions.persistence import person_traces as traces
from executions.persistence import repositories
from executions.persistence.person_traces import Found
from executions.services.erasure import executions as erasing
from executions.services.erasure.derivation import Derived, derive, labelled, undecidable
from executions.services.erasure.redaction import names_any, renamed_tags, without_name, without_texts
from executions.services.locking import record_act, store_decision
from telemetry import ledger

Value = TypeVar("Value")
_ASKS = AcceptanceAction.REQUEST_CHANGES.value  # its comment may have been erased before
#: Events that tell the title of a version.
_TITLED = frozenset({"acceptance_needed", "document_edited", "step_completed", "step_reused"})


class StillOpen(Conflict):
    """Executions that hold what the person wrote have not ended."""

    code = "still-open"

    def __init__(self, execution_ids: Iterable[UUID]) -> None:
        self.execution_ids = sorted(execution_ids)
        super().__init__(f"{len(self.execution_ids)} executions that hold what the person wrote have not ended.")


class LastSuperuser(Conflict):
    """No other active user has the rights of a superuser."""

    code = "last-superuser"
    sentence = "This is the only active superuser. Make another one first: manage.py issue_token NAME --superuser."


@dataclass(slots=True, kw_only=True)
class Traces:
    """Where a person's texts are."""

    account: Account
    with_derived: bool
    started: dict[UUID, Found] = field(default_factory=dict)  # by the person, and not erased yet
    copied: dict[UUID, Found] = field(
        default_factory=dict
    )  # of others, that began with a copy of a brief of the person
    joined: dict[UUID, Found] = field(default_factory=dict)  # of others, with answers, decisions or files of the person
    derived: Derived = field(default_factory=Derived)  # versions to erase, and steps of further executions
    undecidable: set[UUID] = field(default_factory=set)  # executions that wait for a decision about what goes
    labels: dict[UUID, set[str]] = field(default_factory=dict)  # steps of others with an item of an erased list
    files: dict[UUID, UUID | None] = field(default_factory=dict)
    ownerless: list[str] = field(default_factory=list)  # scopes without another owner
    is_last_superuser: bool = False

    @property
    def whole(self) -> dict[UUID, Found]:
        """The executions that are erased as a whole."""
        return {**self.started, **self.copied} if self.with_derived else self.started

    @property
    def steps(self) -> dict[UUID, set[str]]:
        """The steps of further executions that have read what the person wrote, by execution."""
        found: dict[UUID, set[str]] = defaultdict(set)
        whole = self.whole
        for execution_id, step_id in self.derived.steps:
            if execution_id not in whole and execution_id not in self.joined:
                found[execution_id].add(step_id)
        return found

    @property
    def open(self) -> set[UUID]:
        """The executions among all these that have not ended."""
        held = {each.id for each in (*self.whole.values(), *self.joined.values()) if not each.ended}
        held |= {key[0] for key, step in self.derived.steps.items() if not step.ended}
        return held | self.undecidable


def find_traces(name: str, *, with_derived: bool) -> Traces:
    """Return where a person's texts are. It changes nothing.

    Args:
        name: The name of the user; of an erased person, the alias.
        with_derived: Whether to find also what others have made from them.

    Raises:
        NotFound: there is no such user.
    """
    account = accounts.account_of(name)
    if account is None:
        raise NotFound(f"There is no user {name!r}.")
    former = traces.names_of_starter(account.user_id) | documents.names_of_author(account.user_id)
    account = accounts.with_former_names(account, former)
    found = Traces(account=account, with_derived=with_derived)
    found.files = storage.files_of(account.user_id)
    found.ownerless = accounts.scopes_without_owner(account.user_id)
    found.is_last_superuser = accounts.is_last_superuser(account.user_id)
    every = {each.id: (each, is_erased) for each, is_erased in traces.started_by(account.user_id)}
    found.started = {key: each for key, (each, is_erased) in every.items() if not is_erased}
    copies = {each.id: (each, is_erased) for each, is_erased in traces.copied_from(account.user_id)}
    found.copied = {key: each for key, (each, is_erased) in copies.items() if not is_erased}
    roots = {each.root_id for each, _ in every.values()} | documents.roots_of_author(account.user_id)
    roots |= {root_id for root_id in found.files.values() if root_id is not None}
    steps = ((each, one) for one in account.names for each in traces.steps_naming(one))
    named = (each.execution for each, one in steps if _has_written(each, one))
    used = traces.using_files(found.files.keys(), roots)
    mine = every.keys() | copies.keys() if with_derived else every.keys()
    found.joined = {each.id: each for each in (*named, *used) if each.id not in mine}
    _find_versions(found, roots | {each.root_id for each in found.joined.values()}, mine=mine)
    return found


def _has_written(step: traces.NamedStep, name: str) -> bool:
    answered = any(each.get("answered_by") == name for each in step.rounds)
    own = [each for each in step.decisions if each["decided_by"] == name]
    return answered or any(each["decision"] == _ASKS or each["comment"] or each["comments"] for each in own)


def _find_versions(found: Traces, roots: Iterable[UUID], *, mine: Iterable[UUID]) -> None:
    """Find the person's versions, and with `with_derived` all that was made from the person's texts."""
    every = documents.version_links([*roots])
    found.derived.add(each for each in every if each.author_id == found.account.user_id)
    steps = list(traces.step_links([*roots]))
    if found.with_derived:
        makers, files = {*mine, *found.joined}, {str(each) for each in found.files}
        found.derived.add(each for each in every if each.execution_id in makers or each.file_id in files)
        derive(found.derived, every, steps)
    found.undecidable = undecidable(found.derived, steps)
    for execution_id, step_id in labelled(found.derived, steps):
        found.labels.setdefault(execution_id, set()).add(step_id)


def cancel_open(found: Traces) -> None:
    """Cancel the executions that hold what the person wrote and have not ended."""
    for execution_id in sorted(found.open):
        _cancel(execution_id, now=database_now())


@transaction.atomic
def _cancel(execution_id: UUID, *, now: datetime) -> None:
    if not repositories.lock(execution_id).ended:
        stored = store_decision(execution_id, lambda execution, context: core.cancel(execution, context=context), now)
        record_act(Act.EXECUTION_CANCEL, stored)


def erase_person(name: str, *, with_derived: bool) -> Traces:
    """Erase a person, and return what was found.

    The account is deactivated first, so that nothing is added meanwhile.

    Raises:
        NotFound: there is no such user.
        LastSuperuser: no other user has the rights of a superuser; nothing was changed.
        StillOpen: executions that hold what the person wrote have not ended; no text was erased.
    """
    first = find_traces(name, with_derived=with_derived)
    if first.is_last_superuser:
        raise LastSuperuser
    _check_ended(first)
    set_active([first.account.user_id], is_active=False)
    found = find_traces(name, with_derived=with_derived)
    _check_ended(found)
    for execution_id in sorted(found.whole):
        _erase_whole(execution_id, Erasing.ALL if with_derived else Erasing.CONTENTS)
    _erase_versions(found)
    _erase_events(found)
    for execution_id in sorted(found.joined):
        _erase_part(execution_id, None, with_derived=with_derived)
    for execution_id, step_ids in sorted(found.steps.items()):
        _erase_part(execution_id, step_ids, with_derived=with_derived)
    for execution_id, step_ids in sorted(found.labels.items()):
        with transaction.atomic():
            traces.empty_labels(execution_id, step_ids)
    for files in _batches(sorted(found.files)):
        storage.delete_files(files, also_used=lambda _: ())
    _erase_names(found)
    accounts.erase_account(found.account)
    return found


def _check_ended(found: Traces) -> None:
    if found.open:
        raise StillOpen(found.open)


def _erase_whole(execution_id: UUID, what: Erasing) -> None:
    """Erase an execution of the person, or one that began with a copy of the person's brief."""
    with transaction.atomic():
        current = repositories.lock(execution_id)
        if current.erased_at is None:
            record_act(Act.EXECUTION_ERASE, erasing.begin(current, what, now=database_now()))
    erasing.finish(execution_id)


def _erase_part(execution_id: UUID, step_ids: set[str] | None, *, with_derived: bool) -> None:
    """Erase replies and errors of steps of another person's execution; None: of all its steps.

    The answers in its steps, by which it is found, go last.
    """
    limit = erasing.BATCH_SIZE
    while ledger.erase_texts(execution_id, step_ids=step_ids, limit=limit, now=database_now()):
        pass
    with transaction.atomic():
        traces.empty_steps(execution_id, step_ids, with_questions=with_derived)
        forget_answers(execution_id)


def _batches(values: Iterable[Value]) -> Iterator[list[Value]]:
    rest = iter(values)
    while batch := list(islice(rest, erasing.BATCH_SIZE)):
        yield batch


def _erase_versions(found: Traces) -> None:
    """Erase the versions, newest first: what was made from a version is found by that version."""
    for keys in _batches(sorted({key for key, _ in found.derived.versions})):
        forget_answers_about(keys)
    rows = sorted((each.row_id for each in found.derived.left), reverse=True)
    for batch in _batches(rows):
        documents.erase_versions(batch, now=database_now())


def _erase_names(found: Traces) -> None:
    """Give the person another name in all that stays. The rows that tell former names are the last."""
    account = found.account
    _rename_tags(found)
    for name in account.names:
        traces.replace_inbox([without_name(each, name, account.alias) for each in traces.inbox_naming(name)])
        documents.change_provenance(name, partial(without_name, name=name, alias=account.alias))
        for batch in _batches(traces.steps_naming(name)):
            changed = [(each, _renamed(each, name, account.alias)) for each in batch]
            with transaction.atomic():
                traces.replace_steps([after for before, after in changed if after != before])
    documents.forget_author(account.user_id, names=account.names, alias=account.alias)
    traces.rename_starter(account.user_id, account.alias)


def _renamed(step: traces.NamedStep, name: str, alias: str) -> traces.NamedStep:
    values = {key: without_name(getattr(step, key), name, alias) for key in ("rounds", "decisions", "wait")}
    return step._replace(**values)


def _erase_events(found: Traces) -> None:
    """Erase names in all events, the texts in those of erased steps, and the titles of erased versions."""
    account, steps = found.account, found.steps
    versions = {(str(key), number) for key, number in found.derived.versions}
    for batch in traces.all_events():
        changed = {}
        for event in batch:
            data = event.data
            for name in account.names:
                data = without_name(data, name, account.alias)
            told = (data.get("document_id"), data.get("document_version"))
            is_part = event.execution_id is not None and (
                event.execution_id in found.joined or event.step_id in steps.get(event.execution_id, ())
            )
            if is_part or (event.event_type in _TITLED and told in versions):
                data = without_texts(data)
            if data != event.data:
                changed[event.id] = data
        traces.replace_data(changed)


def _rename_tags(found: Traces) -> None:
    """Rename the tags that contain name or address, of executions and in the ledger: sums by tag stay apart."""
    texts = [each for each in found.account.texts if each != found.account.alias]  # of a person who was erased before
    if not texts:
        return
    tagged = traces.tagged(texts)
    wrong = sorted({tag for tags in tagged.values() for tag in tags if names_any(tag, texts)})
    names = {tag: f"{found.account.alias}-{number}" for number, tag in enumerate(wrong, 1)}
    changed = {key: renamed_tags(tags, names) for key, tags in tagged.items()}
    with transaction.atomic():
        traces.retag(changed)
        ledger.retag(changed)
