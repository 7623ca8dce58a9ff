"""Comments beside a document: the list, the form about a selected passage, and the forms that resolve."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext

from access.idempotency import run_form_once
from access.permissions import Role, allows
from access.selectors import role_of
from common.database.server import database_now
from common.errors import Conflict, Invalid, Malformed, NotFound
from console.document_text import ANCHORS
from console.edit_pages import person
from console.forms import POINTER, CommentForm, PassageForm
from console.passages import find_passage, label_of, places
from console.shell import STORED, form_view, is_htmx, number_in, part_view, stored
from documents import comments as remarks
from documents import selectors
from documents.rendering.content.tree import anchor_of

_MAX_COMMENTS = 50  # in the list


@part_view
def comments(request: HttpRequest, document_id: UUID) -> HttpResponse:
    """Render the comments of a document."""
    row = selectors.version(user=request.user, document_id=document_id)
    return render(request, "console/documents/comments.html", comments_of(request, row))


def comments_of(request: HttpRequest, row: Any, *, may_comment: bool | None = None) -> dict[str, Any]:
    """Return the open comments of a document for a template, and the newest resolved ones. `row` is any version.

    `may_comment` is whether the user's role permits comments; None: it is read.
    """
    if may_comment is None:
        may_comment = allows(role_of(request.user, row.document.scope), Role.REVIEWER)
    every = remarks.comments(user=request.user, document_id=row.document_id)
    found = list(every.filter(resolved_at=None)[: _MAX_COMMENTS + 1])
    listed = remarks.located(found[:_MAX_COMMENTS])
    resolved = every.exclude(resolved_at=None).reverse()[:_MAX_COMMENTS]
    return {
        "document_id": row.document_id,
        "comments": [_shown(each, row) for each in listed],
        "has_more": len(found) > _MAX_COMMENTS,
        "resolved": [_shown(remarks.LocatedComment(each), row) for each in resolved],
        "may_comment": may_comment and row.erased_at is None,
    }


def _shown(found: Any, row: Any) -> dict[str, Any]:
    location, comment = found.location, found.comment
    place = comment.pointer if location is None else location.pointer
    return {
        "comment": comment,
        "is_lost": bool(found.lost),
        "anchor": "" if location is None else anchor_of(place, ANCHORS),
        "quote": comment.quote if location is None else location.quote,
        "label": label_of(row.content, row.schema.content, place),
    }


@part_view
def passage(request: HttpRequest, document_id: UUID) -> HttpResponse:
    """Render the form for a remark about a selected passage: `?near=` a heading, `&quote=` of the text.

    `number` makes it a part of the decision's form. Without `near` and `quote` the form asks for the place.
    """
    row = _version(request, document_id)
    given = request.GET
    is_chosen = "near" in given or "quote" in given
    near = given.get("near", "").removeprefix(ANCHORS).removeprefix(".")
    found = find_passage(row.content, near=near, quote=given.get("quote", ""))
    initial = {"pointer": found.pointer, "quote": found.quote, "start": found.start, "document_version": row.version}
    choices = [] if is_chosen else places(row.content, row.schema.content)
    number = given.get("number", "")
    if number:
        form: Any = PassageForm(initial=initial, prefix=f"comments.{number}")
        return render(request, "console/documents/passage.html", passage_of(form, row, choices=choices))
    return _comment_form(request, row, CommentForm(initial=initial), choices=choices)


def passage_of(form: PassageForm, row: Any, *, choices: list[tuple[str, str]]) -> dict[str, Any]:
    """Return the form of a passage with what it is about, for a template."""
    place, quote = form["pointer"].value() or "", form["quote"].value() or ""
    label = "" if choices or not re.fullmatch(POINTER, place) else label_of(row.content, row.schema.content, place)
    return {"form": form, "label": label, "quote": quote, "places": choices}


@form_view
def add(request: HttpRequest, document_id: UUID) -> HttpResponse:
    """Store a comment."""
    row = _version(request, document_id)
    form = CommentForm(request.POST)
    if request.POST.get("show"):
        return _comment_form(request, row, CommentForm(initial=request.POST.dict()), is_sent=True)
    if form.is_valid():
        values = {name: value for name, value in form.cleaned_data.items() if value is not None}
        try:
            _store(request, document_id, values)
        except Invalid as error:
            form.add_error("text", " ".join(each.detail for each in error.errors))
        except Conflict as error:
            form.add_error("text", gettext(str(error)))
        else:
            return _list_again(request, row, "remarks")
    response = _comment_form(request, row, form, is_sent=True, status=422)
    response["HX-Retarget"] = "#passage"
    return response


def _store(request: HttpRequest, document_id: UUID, values: dict[str, Any]) -> None:
    """Store a comment; a form that is sent again has done so already."""
    user = person(request)
    remarks.require_comment(user, document_id)

    def add_comment() -> int:
        return remarks.add_comment(user=user, document_id=document_id, now=database_now(), **values).number

    run_form_once(request, add_comment)


@form_view
def resolve(request: HttpRequest, document_id: UUID, number: int) -> HttpResponse:
    """Resolve a comment, or open it again."""
    wanted = request.POST.get("resolved")
    if wanted not in {"true", "false"}:
        raise Malformed
    row = selectors.version(user=request.user, document_id=document_id)
    user = person(request)
    remarks.resolve_comment(
        user=user,
        document_id=document_id,
        number=number,
        resolved=wanted == "true",
        expected_versions=None,
        now=database_now(),
    )
    return _list_again(request, row, "comments")


def _list_again(request: HttpRequest, row: Any, part: str) -> HttpResponse:
    """Answer with the list: `remarks` has an empty form, too; `comments` leaves the form as it is."""
    if not is_htmx(request):
        return stored(request, reverse("console:document", args=[row.document_id]))
    response = render(request, f"console/documents/{part}.html", comments_of(request, row))
    response["HX-Trigger"] = STORED
    return response


def _comment_form(
    request: HttpRequest,
    row: Any,
    form: CommentForm,
    *,
    choices: list[tuple[str, str]] | None = None,
    is_sent: bool = False,
    status: int = 200,
) -> HttpResponse:
    context = {
        **passage_of(form, row, choices=choices or []),
        "document_id": row.document_id,
        "is_sent": is_sent,
        "with_form": True,
    }
    return render(request, "console/documents/comment_form.html", context, status=status)


def passage_path(row: Any) -> str:
    """Return the address of the form about a passage of a version."""
    return f"{reverse('console:part-passage', args=[row.document_id])}?{urlencode({'v': row.version})}"


def _version(request: HttpRequest, document_id: UUID) -> Any:
    given = (request.POST.get("document_version") or "") if request.method == "POST" else request.GET.get("v", "")
    number = number_in(given)
    if given and number is None:
        raise NotFound
    return selectors.readable_version(user=request.user, document_id=document_id, number=number)
