"""Commands: documents that people add, edit and restore."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from itertools import islice
from typing import Any, cast
from uuid import UUID

from django.db import transaction
from pydantic import JsonValue
from uuid_utils.compat import uuid7

from access import selectors as access
from access.audit import Act, record
from access.permissions import NEEDED_ROLE, Action
from access.services import claim_root_scope
from access.user import User
from common.errors import Conflict, Erased, FieldError, Invalid, NotFound, PreconditionFailed, VersionConflict
from common.limits import MAX_ERRORS, limits
from documents import repository as documents
from documents import selectors as document_selectors
from documents.comparison.patch import PatchError, apply_patch
from documents.comparison.values import depth_of
from executions.engine.domain.brief import FILE
from executions.engine.domain.copying import replace
from executions.engine.domain.execution import Document, Execution
from executions.engine.prompting.documents import MAX_TITLE
from executions.engine.prompting.schema_errors import DocumentValidator
from executions.engine.transitions import acceptance
from executions.engine.transitions.core import Change, Context, Decide
from executions.persistence import event_log, repositories
from executions.selectors import executions
from executions.services import staleness
from executions.services.files import NO_FILE, use_document_file
from executions.services.locking import store_decision
from telemetry import spending
from workflows.errors import character_errors

#: What a person's version keeps of the provenance of its base.
_KEPT = frozenset({"origin", "answers", "item", "model", "role", "rehearsal", "prepared", FILE})
_TO_ADD = NEEDED_ROLE[Action.ADD_DOCUMENT]
#: Makes the new content of the present one.
Edit = Callable[[JsonValue], JsonValue]


class DocumentExists(Conflict):
    """The scope has a document of this type already; edit that one."""

    code = "document-exists"


@transaction.atomic
def add_document(
    *,
    user: User,
    scope_type: str,
    scope_id: str,
    type: str,
    content: JsonValue = None,
    file: UUID | None = None,
    title: str | None = None,
    schema_hash: str | None = None,
    note: str = "",
    now: datetime,
) -> Document:
    """Store a person's document, or the text of a file, as version 1. A new scope belongs to the user then.

    If all versions of such a document were erased, it is the next version. The named schema holds, else the newest one
    of its type in the scope and below, else none.

    Raises:
        ScopeForbidden: the scope belongs to another user, and this user is no reviewer in it.
        DocumentExists: the scope has a document of this type.
        Invalid: the content is not valid, has no title, the schema is not known, or the file cannot be used.
    """
    scope = claim_root_scope(user=user, scope_type=scope_type, scope_key=scope_id, need=_TO_ADD)
    used = NO_FILE if file is None else use_document_file(user=user, file_id=file, root_id=scope.id)
    content = used.text or content
    schema = _schema_for(scope.id, type, schema_hash)
    document = Document(
        id=uuid7(),
        scope_id=scope.id,
        type=type,
        version=_new_version(scope.id, type),
        title=_title(content, given=title or used.name, otherwise=None),
        content=validated(content, schema),
        schema=schema,
        step_id=None,
        provenance=used.provenance,
        **_authorship(user, note=note, now=now),
    )
    return _store_new(document, now=now)


@transaction.atomic
def edit_document(
    *,
    user: User,
    document_id: UUID,
    edit: Edit,
    title: str | None = None,
    note: str = "",
    expected_versions: Collection[int] | None,
    now: datetime,
    act: Act = Act.DOCUMENT_EDIT,
) -> Document:
    """Store a person's edit as the next version. An edit that changes nothing stores nothing.

    Raises:
        NotFound: there is no such document, or none that the user may see.
        Forbidden: the user's role does not permit it.
        Erased: all versions of the document were erased.
        PreconditionFailed: the head's version is not in `expected_versions`.
        Invalid: the edit cannot be applied, or its result is not valid.
    """
    followers, base = lock_document(user, document_id)
    if expected_versions is not None and base.version not in expected_versions:
        raise PreconditionFailed
    edited = edited_version(base, user=user, edit=edit, title=title, note=note, now=now)
    if edited is base:
        return base
    return _store(edited, act=act, root_id=document_selectors.root_of(document_id), followers=followers, now=now)


def restore_document(
    *,
    user: User,
    document_id: UUID,
    version: int,
    note: str | None = None,
    expected_versions: Collection[int] | None,
    now: datetime,
) -> Document:
    """Store the content of an earlier version as the next version.

    Raises:
        NotFound: there is no such document, or none that the user may see.
        Forbidden: the user's role does not permit it.
        PreconditionFailed: the head's version is not in `expected_versions`.
        Erased: the version was erased, or all versions were.
        Invalid: there is no such version, or its content is not valid against the present schema.
    """
    earlier = document_selectors.versions(user=user, document_id=document_id).filter(version=version).first()
    if earlier is None:
        detail = f"The document has no version {version}."
        raise Invalid(detail, [FieldError(pointer="/version", code="unknown_version", detail=detail)])
    if earlier.erased_at is not None:
        raise Erased
    return edit_document(
        user=user,
        document_id=document_id,
        edit=lambda _: earlier.content,
        title=earlier.title,
        note=f"Restored version {version}." if note is None else note,
        expected_versions=expected_versions,
        now=now,
        act=Act.DOCUMENT_RESTORE,
    )


def replace_with(content: JsonValue) -> Edit:
    """Return the edit that puts this content in place of the present one."""
    return lambda _: content


def patch_with(operations: JsonValue, *, at: str = "") -> Edit:
    """Return the edit that applies a JSON Patch (RFC 6902). `at` is the place of the patch in the request's body."""

    def apply(content: JsonValue) -> JsonValue:
        try:
            return apply_patch(content, operations, max_bytes=limits().request_bytes)
        except PatchError as error:
            place = error.error.model_copy(update={"pointer": f"{at}{error.error.pointer}"})
            raise Invalid("The patch cannot be applied.", [place]) from error

    return apply


def lock_document(user: User, document_id: UUID) -> tuple[list[UUID], Document]:
    """Lock a document and the open executions that have made or reused it; return their ids, and the head's version.

    Executions are locked before documents, as in all transactions.

    Raises:
        NotFound: there is no such document, or none that the user may see.
        Forbidden: the user's role does not permit an edit.
    """
    known = require_edit(user, document_id)
    followers = executions.open_executions_of(document_id)
    repositories.lock_rows(followers).value  # noqa: B018 - waits for the locks
    return followers, lock_head(known)


def require_edit(user: User, document_id: UUID) -> documents.StoredDocument:
    """Check that the user may edit a document, and return its newest version.

    Raises:
        NotFound: there is no such document, or none that the user may see.
        Forbidden: the user's role does not permit an edit.
        Erased: all versions of the document were erased.
    """
    try:
        access.require_in(user, document_selectors.root_of(document_id), NEEDED_ROLE[Action.EDIT])
    except NotFound as error:
        raise NotFound("There is no such document.") from error
    known = documents.get_version(document_id)
    if known is None:
        raise NotFound("There is no such document.")
    return known


def lock_head(document: Document | documents.StoredDocument) -> Document:
    """Lock the head of a document, and return the version of the head.

    The budget of its scope is locked before, as in all transactions: executions, budgets, heads.
    """
    spending.lock_budgets([document_selectors.root_of(document.id)]).value  # noqa: B018 - waits for the lock
    documents.lock_heads({(document.scope_id, document.type)}).value  # noqa: B018 - waits for the lock
    return repositories.get_document(document.id)


def edited_version(base: Document, *, user: User, edit: Edit, title: str | None, note: str, now: datetime) -> Document:
    """Return a person's next version of a document, validated but not stored; `base` itself if nothing changes.

    Raises:
        Invalid: the edit cannot be applied, or its result is not valid.
    """
    content = validated(edit(cast(JsonValue, base.content)), base.schema)
    new_title = _title(content, given=title, otherwise=base.title)
    if new_title == base.title and documents.content_hash(content) == documents.content_hash(base.content):
        return base
    return replace(
        base,
        version=documents.last_version(base.id) + 1,
        title=new_title,
        content=content,
        step_id=base.step_id,
        provenance=_provenance(base),
        base_version=base.version,
        proposed=False,
        **_authorship(user, note=note, now=now),
    )


def _authorship(user: User, *, note: str, now: datetime) -> dict[str, Any]:
    """Return the fields of a person's version that say who made it, when and why."""
    return {
        "execution_id": None,
        "author_id": user.pk,
        "author_name": user.get_username(),
        "note": note,
        "created_at": now,
    }


def save_edit(document: Document) -> Document:
    """Store a version of a locked document.

    Raises:
        PreconditionFailed: a writer without locks was faster.
    """
    try:
        return repositories.save_document(document)
    except VersionConflict as error:
        raise PreconditionFailed from error


def record_edit(act: Act, document: Document, *, root_id: UUID) -> None:
    """Record that a person has made a version."""
    record(act, "document", document.id, root_id=root_id, version=document.version)


def _store(document: Document, *, act: Act, root_id: UUID, followers: Collection[UUID], now: datetime) -> Document:
    """Store and record a version, and tell of it: in the logs of open executions, else in the scope's feed alone."""
    stored = save_edit(document)
    record_edit(act, stored, root_id=root_id)
    if not tell_of_edit(stored, followers, now=now):
        event = acceptance.document_edited(stored, step_id=None)
        event_log.append_to_feed(root_id, event, now=now)
    staleness.refresh(root_id, [stored.id])
    return stored


def tell_of_edit(document: Document, followers: Iterable[UUID], *, repeated: bool = False, now: datetime) -> int:
    """Tell locked executions of a person's version, as far as they are open; return how many were told.

    Only one of the events is not `repeated`, and none if another event tells of the version.
    """
    told = 0
    for execution_id, current in sorted(repositories.lock_all([*followers], known={}).items()):
        if any(step.document_id == document.id for step in current.steps.values()) and not current.ended:
            store_decision(execution_id, _follow(document, repeated=repeated or told > 0), now)
            told += 1
    return told


def _follow(document: Document, *, repeated: bool) -> Decide:
    def follow(execution: Execution, context: Context) -> Change:
        return acceptance.follow_edit(execution, document, repeated=repeated, context=context)

    return follow


def _provenance(base: Document) -> dict[str, JsonValue]:
    """Return the provenance of a person's version: made from the present versions of what its base was made from."""
    kept = {name: value for name, value in base.provenance.items() if name in _KEPT}
    pins: Any = base.provenance.get("inputs", [])
    present = document_selectors.head_versions(UUID(pin["document_id"]) for pin in pins)
    inputs: list[JsonValue] = [
        {**pin, "version": present.get(UUID(pin["document_id"]), pin["version"])} for pin in pins
    ]
    return {**kept, "inputs": inputs}


def _title(content: JsonValue, *, given: str | None, otherwise: str | None) -> str:
    """Return the title: as given, else that in the content, else the present one.

    Raises:
        Invalid: there is none.
    """
    within = content.get("title") if isinstance(content, dict) else None
    found = given or (within if isinstance(within, str) and within.strip() else None) or otherwise
    if not found:
        detail = "Give the document a title, here or in its content."
        raise Invalid("The document has no title.", [FieldError(pointer="/title", code="required", detail=detail)])
    return found[:MAX_TITLE]


def validated(content: JsonValue, schema: Mapping[str, JsonValue]) -> Any:
    """Return the content.

    Raises:
        Invalid: it is neither an object nor a text, is empty or nested too deep, cannot be stored, or is not valid
            against the schema.
    """
    if not isinstance(content, dict | str) or not (content.strip() if isinstance(content, str) else content):
        detail = "Expected a text or an object, not empty."
        raise Invalid("The content cannot be stored.", [FieldError(pointer="/content", code="type", detail=detail)])
    if depth_of(content) > limits().request_depth:
        detail = f"More than {limits().request_depth} levels of objects and lists."
        raise Invalid("The content cannot be stored.", [FieldError(pointer="/content", code="depth", detail=detail)])
    if unstorable := [*islice(character_errors(content, "content"), MAX_ERRORS)]:
        raise Invalid("The content cannot be stored.", unstorable)
    found = DocumentValidator(schema).faults(content, MAX_ERRORS) if schema else []
    if found:
        errors = [each.model_copy(update={"pointer": f"/content{each.pointer}"}) for each in found]
        raise Invalid("The content is not valid against the document's schema.", errors)
    return content


def _new_version(scope_id: UUID, kind: str) -> int:
    """Lock the head of a type in a scope, and return the number of the next version: 1, or the one after erased ones.

    Raises:
        DocumentExists: there is one.
    """
    heads = documents.lock_heads({(scope_id, kind)}).value
    if (head := documents.newest_version(scope_id, kind)) is not None:
        raise _exists(kind, head)
    return heads[scope_id, kind].last_version + 1


def _store_new(document: Document, *, now: datetime) -> Document:
    try:
        return _store(document, act=Act.DOCUMENT_ADD, root_id=document.scope_id, followers=(), now=now)
    except PreconditionFailed as error:  # a worker has stored one without a lock
        raise _exists(document.type, documents.newest_version(document.scope_id, document.type)) from error


def _exists(kind: str, head: documents.StoredDocument | None) -> DocumentExists:
    detail = f"The scope has a document of type {kind!r} already; edit that one."
    return DocumentExists(detail) if head is None else DocumentExists(detail, document_id=str(head.id))


def _schema_for(root_id: UUID, kind: str, schema_hash: str | None) -> Mapping[str, JsonValue]:
    found = document_selectors.schema_of_type(root_id, kind) if schema_hash is None else documents.schema(schema_hash)
    if found is None and schema_hash is not None:
        detail = "No document was validated against a schema with this hash."
        raise Invalid("There is no such schema.", [FieldError(pointer="/schema_hash", code="unknown", detail=detail)])
    return found or {}
