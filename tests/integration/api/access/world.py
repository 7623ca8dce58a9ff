"""The callers of the table in docs/access.md, and what they ask for."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.db import transaction
from django.test import Client
from django.utils import timezone

from access import services as access
from access.models import Scope, ScopeRole, SessionName
from access.people import invitations
from access.permissions import ALL_RIGHTS, Right, Role
from access.user import User
from documents import comments
from documents.extraction.results import Extraction, Segment
from documents.files import storage
from executions.engine.domain.execution import Execution
from executions.models import InboxEntry
from telemetry.models import ModelCall
from tests.factories import reports

PASSWORD = "a better horse, with a battery"
#: The scope of `asking`, where everything is tried that needs a scope. No answer to a stranger may have the word.
KEY = "harbour"
ELSEWHERE = "elsewhere"
_UNKNOWN = UUID(int=0)


@dataclass(frozen=True, kw_only=True)
class Caller:
    """A column of the table: a token, and the user's own things."""

    name: str  # of the user
    token: str | None  # None: no credential
    spare_token: UUID = _UNKNOWN
    session: UUID = _UNKNOWN


@dataclass(kw_only=True)
class World:
    """Callers by the names of the columns, and things in scopes of the owner, by name."""

    callers: dict[str, Caller]
    executions: dict[str, Execution] = field(default_factory=dict)
    files: dict[str, UUID] = field(default_factory=dict)
    document: UUID = _UNKNOWN
    call: UUID = _UNKNOWN
    failure: UUID = _UNKNOWN  # entry of the inbox
    invitation: UUID = _UNKNOWN
    invitation_token: str = ""
    comment: int = 0
    client: Client = field(default_factory=Client)

    def secrets(self) -> list[str]:
        """Return texts that no answer has for a caller who may not read the things."""
        ids = [each.id for each in self.executions.values()]
        return [KEY, *map(str, [*ids, *self.files.values(), self.document])]


def build() -> World:
    """Store all callers and things."""
    owner = _user("owner")
    scopes = {key: access.claim_root_scope(user=owner, scope_type="project", scope_key=key) for key in _KEYS}
    world = World(callers=_callers(owner, scopes))
    _add_executions(world, owner)
    _add_files(world, owner, scopes[KEY])
    finished = world.executions["finished"]
    world.document = finished.steps["research"].document_id or world.document
    row = comments.add_comment(
        user=owner, document_id=world.document, now=timezone.now(), pointer="/title", text="Why?"
    )
    world.comment = row.number
    world.call = ModelCall.objects.filter(execution_id=finished.id).latest("started_at").id
    world.failure = InboxEntry.objects.get(execution_id=world.executions["failed"].id).id
    invited, world.invitation_token = invitations.invite(
        user=owner, scope_type="project", scope_key=KEY, role=Role.VIEWER, now=timezone.now()
    )
    world.invitation = invited.id
    return world


_KEYS = (KEY, f"{KEY}-2", f"{KEY}-3", f"{KEY}-4", ELSEWHERE)


def _callers(owner: User, scopes: dict[str, Scope]) -> dict[str, Caller]:
    found = {"anonymous": Caller(name="stranger", token=None), "owner": _caller(owner)}
    for name in ("stranger", "author", "staff", "viewer", "reviewer", "operator", "retired"):
        user = _user(name, is_staff=name == "staff", is_author=name == "author")
        role = "operator" if name == "retired" else name
        if role in Role.values:
            there = [scope for key, scope in scopes.items() if key != ELSEWHERE]
            ScopeRole.objects.bulk_create([ScopeRole(scope=each, user=user, role=role) for each in there])
        found[name] = _caller(user)
    for right in Right:
        found[f"token {right}"] = Caller(name="owner", token=access.issue_token(owner, rights=[right])[1])
    limited = access.issue_token(owner, rights=ALL_RIGHTS - {Right.AUTHOR}, scope=scopes[ELSEWHERE])[1]
    found["token elsewhere"] = Caller(name="owner", token=limited)
    access.set_active([User.objects.get(username="retired").pk], is_active=False)
    return found


def _user(name: str, **values: Any) -> User:
    return User.objects.create_user(name, password=PASSWORD, **values)


def _caller(user: User) -> Caller:
    store = import_module(settings.SESSION_ENGINE).SessionStore()
    store[SESSION_KEY], store[BACKEND_SESSION_KEY] = str(user.pk), settings.AUTHENTICATION_BACKENDS[0]
    store[HASH_SESSION_KEY] = user.get_session_auth_hash()
    store.save()
    token, spare = access.issue_token(user)[1], access.issue_token(user)[0]
    session = SessionName.objects.get(session_id=store.session_key).id
    return Caller(name=user.username, token=token, spare_token=spare.id, session=session)


def _add_executions(world: World, owner: User) -> None:
    reports.publish("Waits for a decision.", gated=True)
    world.executions["deciding"] = reports.hand_in(reports.start(owner, f"{KEY}-2"))
    reports.publish()
    world.executions["asking"] = reports.ask(reports.start(owner, KEY))
    world.executions["finished"] = reports.finish(reports.start(owner, f"{KEY}-3"))
    world.executions["failed"] = reports.fail(reports.start(owner, f"{KEY}-4"))


def _add_files(world: World, owner: User, scope: Scope) -> None:
    text = Extraction(
        media_type="text/plain",
        title="",
        pages=None,
        segments=(Segment(anchor="", label="", text="A brief."),),
        notes=(),
        characters=8,
    )
    for name in ("used", "unused"):
        row = storage.store_file(user=owner, name="a.txt", data=b"A brief.", extraction=text, now=timezone.now())
        world.files[name] = row.id
    with transaction.atomic():
        storage.use_files(user=owner, file_ids=[world.files["used"]], root_id=scope.id)
