"""Pages on which people edit, restore and add documents. They call the same services as the API."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import translation
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext

from access.errors import ScopeForbidden
from access.idempotency import run_form_once
from access.permissions import Role
from access.selectors import require, root_scope
from access.user import User
from common.database.server import database_now
from common.errors import Erased, FieldError, Invalid, Malformed, NotFound, PreconditionFailed
from console.content_form import MISSING
from console.editor import Editing
from console.forms import NewDocumentForm, NoteForm, RestoreForm
from console.shell import form_view, number_in, part_view, show_page, stored, stream_of
from documents import selectors
from documents.comparison.diff import compare
from documents.comparison.html import render_html
from documents.comparison.merge import merge
from documents.search.lists import DocumentQuery
from documents.search.pages import newest_page
from executions.services import documents as services

_MAX_SCOPES_SOUGHT = 100  # documents whose scopes and types are suggested


@form_view
def edit(request: HttpRequest, document_id: UUID) -> HttpResponse:
    """Render the editor of a document, and store what it sends as the next version."""
    head = _head(request, document_id)
    if request.method != "POST":
        form = NoteForm(initial={"title": head.title}, has_title=not has_own_title(head.content))
        return _editor(request, head, Editing.begin(form, head.content, head.schema.content), base=head)
    base = selectors.readable_version(user=request.user, document_id=document_id, number=version_in(request, "base"))
    form = NoteForm(request.POST, has_title=not has_own_title(head.content))
    editing = Editing.receive(form, request.POST, head.schema.content)
    if editing.show == "merge" and not editing.errors:
        found = merge(base.content, editing.content, head.content, schema=head.schema.content)
        editing.take(found.content)
        return _editor(request, head, editing, base=head, merged=True, kept=found.conflicts)
    if editing.show and editing.show != "merge":
        return _editor(request, head, editing, base=base)
    if editing.is_valid:
        try:
            _store(request, head, editing)
        except Invalid as error:
            editing.refuse(error)
        except PreconditionFailed:
            head = _head(request, document_id)
        else:
            return stored(request, reverse("console:document", args=[document_id]))
    return _editor(request, head, editing, base=base, status=422)


def _store(request: HttpRequest, head: Any, editing: Editing) -> None:
    """Store an edit; a form that is sent again has done so already."""

    def store() -> int:
        return services.edit_document(
            user=person(request),
            document_id=head.document_id,
            edit=services.replace_with(editing.content),
            expected_versions={version_in(request, "If-Match")},
            now=database_now(),
            **editing.form.given,
        ).version

    run_form_once(request, store)


def _editor(request: HttpRequest, head: Any, editing: Editing, *, base: Any, **shown: Any) -> HttpResponse:
    path = reverse("console:edit-document", args=[head.document_id])
    return show_page(
        request,
        "console/documents/edit.html",
        section="documents",
        document=head,
        scope=head.document.scope,
        editing=editing,
        base=base,
        shown=head.version,
        newer=difference_of(base, head) if base.version != head.version else "",
        action=path,
        part=f"{reverse('console:part-newer-version', args=[head.document_id])}?base={head.version}",
        draft=f"edit/{head.document_id}/{base.version}",
        stream=stream_of(head.document.scope),
        **shown,
    )


@part_view
def newer_version(request: HttpRequest, document_id: UUID) -> HttpResponse:
    """Render the notice that a document has changed since its editor was opened."""
    head = selectors.version(user=request.user, document_id=document_id)
    found = {"document": head, "shown": version_in(request, "base"), "part": request.get_full_path()}
    return render(request, "console/documents/newer.html", found)


def _told(fault: FieldError) -> str:
    """Return a fault, with its place if that is in the content: people do not know the fields of the form."""
    elsewhere, _, place = fault.pointer.partition("/content")
    return fault.detail if elsewhere else f"{place} {fault.detail}".strip()


@form_view
def restore(request: HttpRequest, document_id: UUID) -> HttpResponse:
    """Make an earlier version the newest one."""
    form = RestoreForm(request.POST)
    if request.method != "POST" or not form.is_valid():
        raise Malformed
    head, faults = _head(request, document_id), []

    def restore_version() -> int:
        return services.restore_document(
            user=person(request),
            document_id=document_id,
            version=form.cleaned_data["version"],
            expected_versions={version_in(request, "If-Match")},
            now=database_now(),
        ).version

    try:
        run_form_once(request, restore_version)
    except PreconditionFailed:
        told = gettext("%(name)s has made version %(version)s meanwhile. Nothing was restored.")
        faults = [told % {"name": head.author_name or gettext("A model"), "version": head.version}]
    except Invalid as error:
        faults = [_told(each) for each in error.errors]
    else:
        return stored(request, reverse("console:document", args=[document_id]))
    found = {"document": {"document_id": document_id, "version": form.cleaned_data["version"]}, "faults": faults}
    return render(request, "console/documents/restore.html", {**found, "current": head.version}, status=422)


@form_view
def add(request: HttpRequest) -> HttpResponse:
    """Render the form for a new document of a scope, and store what it sends."""
    given = request.POST if request.method == "POST" else request.GET
    form = NewDocumentForm(given)
    schema = _schema_for(request, form)
    if request.method != "POST":
        content: Any = "" if schema is None else MISSING
        return _adding(request, Editing.begin(NewDocumentForm(initial=given.dict()), content, schema or {}))
    editing = Editing.receive(form, given, schema or {})
    if editing.show:
        if editing.content == "" and schema is not None:
            editing.take(MISSING)
        return _adding(request, editing)
    if editing.is_valid:
        try:
            document_id = _add(request, editing)
        except Invalid as error:
            editing.refuse(error)
        except (services.DocumentExists, ScopeForbidden) as error:
            form.add_error("type" if isinstance(error, services.DocumentExists) else "scope_id", gettext(str(error)))
        else:
            return stored(request, reverse("console:document", args=[document_id]))
    return _adding(request, editing, status=422)


def _add(request: HttpRequest, editing: Editing) -> str:
    """Store a new document, and return its id; a form that is sent again gets the id of the first one.

    Raises:
        ScopeForbidden: the scope belongs to another user, and this user is no reviewer in it.
        DocumentExists: the scope has a document of this type.
        Invalid: the content is not valid, or has no title.
    """
    user, given = person(request), editing.form.given

    def add_document() -> str:
        return str(services.add_document(user=user, content=editing.content, now=database_now(), **given).id)

    document_id = run_form_once(request, add_document)
    require(user, selectors.version(user=user, document_id=UUID(str(document_id))).document.scope, Role.REVIEWER)
    return str(document_id)


def _adding(request: HttpRequest, editing: Editing, **shown: Any) -> HttpResponse:
    rows = newest_page(user=request.user, query=DocumentQuery(), limit=_MAX_SCOPES_SOUGHT, after=None).documents
    found = [each.document for each in rows]
    known = {
        "type": sorted({each.type for each in found}),
        "scope_type": sorted({each.scope.type for each in found}),
        "scope_id": sorted({each.scope.key for each in found}),
    }
    return show_page(
        request,
        "console/documents/add.html",
        section="documents",
        editing=editing,
        action=reverse("console:add-document"),
        suggestions=known,
        draft="add/new",
        **shown,
    )


def _schema_for(request: HttpRequest, form: NewDocumentForm) -> Any:
    """Return the schema of a type in the scope that a form names; None if there is none."""
    form.is_valid()
    scope_type, scope_id, kind = (form.cleaned_data.get(name, "") for name in ("scope_type", "scope_id", "type"))
    if not (scope_type and scope_id and kind):
        return None
    root = root_scope(request.user, scope_type=scope_type, scope_key=scope_id)
    return None if root is None else selectors.schema_of_type(root.id, kind) or None


# --- what all editors share -------------------------------------------------------------------------------------------


def person(request: HttpRequest) -> User:
    """Return the user, who is logged in."""
    if not isinstance(request.user, User):
        raise NotFound
    return request.user


def version_in(request: HttpRequest, name: str) -> int:
    """Return the version that a form names.

    Raises:
        Malformed: it names none.
    """
    given = (request.POST if request.method == "POST" else request.GET).get(name, "")
    if (number := number_in(given)) is None:
        raise Malformed
    return number


def has_own_title(content: Any) -> bool:
    """Whether the content has the title of its document."""
    title = content.get("title") if isinstance(content, dict) else None
    return isinstance(title, str) and bool(title.strip())


def difference_of(earlier: Any, later: Any) -> SafeString:
    """Return the difference of two versions as HTML."""
    schemas = {"schema": later.schema.content, "schema_before": earlier.schema.content}
    found = compare(earlier.content, later.content, **schemas)
    return mark_safe(render_html(found, heading_level=3, speech=translation))  # noqa: S308 - it escapes every text


def _head(request: HttpRequest, document_id: UUID) -> Any:
    """Return the newest version of a document that the user may edit.

    Raises:
        NotFound: there is no such document, or the user may not see it.
        Forbidden: the user may only read it.
        Erased: all of its versions were erased.
    """
    head = selectors.version(user=request.user, document_id=document_id)
    require(request.user, head.document.scope, Role.REVIEWER)
    if head.erased_at is not None:
        raise Erased
    return head
