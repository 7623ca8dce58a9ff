"""The page on which a person decides about a document that waits. It calls the same service as the API."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext, gettext_lazy

from access.idempotency import run_form_once
from access.permissions import Role, allows
from access.selectors import require, role_of
from common.canonical_json import digest
from common.database.server import database_now
from common.errors import Conflict, DomainError, Invalid, NotFound, PreconditionFailed
from console.comment_pages import comments_of, passage_of, passage_path
from console.edit_pages import difference_of, person
from console.editor import Editing
from console.forms import DecisionForm, NoteForm, PassageForm
from console.shell import form_view, is_htmx, number_in, part_view, show_page, stored, way_back
from documents import selectors as documents
from documents.comparison.merge import merge
from executions.engine.domain.acceptance import AcceptanceAction, PassageComment
from executions.selectors import executions
from executions.selectors.details import refusal_of_vote
from executions.services.acceptance import AcceptedEdit, PersonsDecision, decide_acceptance
from executions.services.documents import replace_with

_MAX_PASSAGES = 100
_ABOUT_PASSAGE = re.compile(r"/comments/([0-9]+)/")  # the pointer of a fault
_NO_ROLE = gettext_lazy("Your role in this scope does not allow decisions.")
_SAID = {
    AcceptanceAction.ACCEPT: gettext_lazy("%(name)s accepted version %(version)s"),
    AcceptanceAction.REJECT: gettext_lazy("%(name)s rejected version %(version)s"),
    AcceptanceAction.REQUEST_CHANGES: gettext_lazy("%(name)s asked for changes of version %(version)s"),
}


@dataclass(frozen=True, slots=True)
class Waiting:
    """A step with its document, as the page shows it."""

    details: Any
    row: Any  # the document version of the step
    head: Any  # the version that counts
    user: Any
    may_comment: bool
    refusal: str  # why the user may not decide; empty: the user may

    @classmethod
    def of(cls, request: HttpRequest, execution_id: UUID, step_id: str) -> Waiting:
        """Return a step.

        Raises:
            NotFound: there is no such step, it has no document yet, or the user may not see it.
        """
        rows = executions.steps(user=request.user, execution_id=execution_id).filter(step_id=step_id)
        found = executions.step_details(rows, user=request.user)
        document_id = found[0].step.document_id if found else None
        if document_id is None:
            raise NotFound
        number = found[0].step.document_version
        head = row = documents.version(user=request.user, document_id=document_id, number=number)
        if row.version != row.document.version:
            head = documents.version(user=request.user, document_id=document_id)
        has_role = allows(role_of(request.user, row.document.scope), Role.REVIEWER)
        refusal = refusal_of_vote(found[0].step, request.user) if has_role else str(_NO_ROLE)
        return cls(found[0], row, head, request.user, has_role, refusal)

    @property
    def needs_others(self) -> bool:
        """Whether other users have to accept what the user changes in the document."""
        wait = self.details.wait
        return wait is not None and wait.needs_others

    @property
    def is_open(self) -> bool:
        """Whether the document waits for a decision."""
        return bool(self.details.needs_decision)

    @property
    def is_proposed(self) -> bool:
        """Whether the version stands beside one that a person has edited."""
        return bool(self.row.proposed) and self.is_open

    @property
    def key(self) -> str:
        """The name of kept input, without the version."""
        return f"decision/{self.details.step.execution_id}/{self.details.step.step_id}"

    def path(self, name: str = "decision") -> str:
        """Return the address of a page of this step."""
        return reverse(f"console:{name}", args=[self.details.step.execution_id, self.details.step.step_id])

    @property
    def decided(self) -> list[dict[str, Any]]:
        """The decisions so far, newest first."""
        return [
            {
                "made": each,
                "said": _SAID[each.decision] % {"name": each.decided_by, "version": each.document_version},
            }
            for each in reversed(self.details.decisions)
        ]

    def base(self) -> Any | None:
        """Return the newest version that the step of a proposed version knew; None if there is none.

        The step began with it, or a person has decided about it.
        """
        seen = [each.document_version for each in self.details.decisions]
        known = Q(version__lte=self.details.step.base_version or 0) | Q(version__in=seen)
        rows = documents.versions(user=self.user, document_id=self.row.document_id).select_related("schema")
        rows = rows.filter(known, version__lt=self.row.version, proposed=False)
        return rows.order_by("-version").first()

    def differences(self) -> list[tuple[str, Any]]:
        """Return what the person compares: titles, and differences as HTML."""
        if self.is_proposed:
            return self._differences_of_proposed()
        sent_back = [each for each in self.details.decisions if each.decision is AcceptanceAction.REQUEST_CHANGES]
        earlier = sent_back[-1].document_version if sent_back else self.row.version - 1
        if not 0 < earlier < self.row.version:
            return []
        before = documents.version(user=self.user, document_id=self.row.document_id, number=earlier)
        title = gettext("Changes since version %(version)s")
        if sent_back:
            title = gettext("Changes since version %(version)s, which was sent back")
        return [(title % {"version": earlier}, difference_of(before, self.row))]

    def _differences_of_proposed(self) -> list[tuple[str, Any]]:
        title = gettext("Changes to version %(version)s, which counts now") % {"version": self.head.version}
        found, base = [(title, difference_of(self.head, self.row))], self.base()
        if base is not None:
            number = {"version": base.version}
            title = gettext("Changes to version %(version)s, which the step knew") % number
            found.append((title, difference_of(base, self.row)))
            title = gettext("What people have changed since version %(version)s") % number
            found.append((title, difference_of(base, self.head)))
        return found


@form_view
def decide(request: HttpRequest, execution_id: UUID, step_id: str) -> HttpResponse:
    """Render a document that waits for a decision, and store the decision that the form sends."""
    waiting = Waiting.of(request, execution_id, step_id)
    if request.method != "POST":
        initial = {"document_version": waiting.row.version, "head_version": waiting.head.version}
        return _page(request, waiting, DecisionForm(initial=initial), passages=[])
    require(request.user, waiting.row.document.scope, Role.REVIEWER)
    form, passages = DecisionForm(request.POST), _passages(request.POST)
    if request.POST.get("show"):
        form = DecisionForm(initial=request.POST.dict())
        return _page(request, waiting, form, passages=passages, is_sent=True)
    if form.is_valid() and all(each.is_valid() for each in passages):
        said = _said(form, passages)
        refusal = None if said is None else _refusal(request, waiting, said)
        if refusal is None and said is not None:
            return stored(request, _after(request, waiting))
        if refusal is not None:
            _tell(refusal, form, passages)
    return _page(request, Waiting.of(request, execution_id, step_id), form, passages=passages, is_sent=True, status=422)


def _said(form: DecisionForm, passages: list[PassageForm]) -> PersonsDecision | None:
    """Return the decision; None if the form's values do not belong together."""
    values = form.cleaned_data
    action = AcceptanceAction(values["decision"])
    asks = action is AcceptanceAction.REQUEST_CHANGES
    if passages and not asks:
        refusal = gettext("Remarks at passages are for requesting changes. Remove them, or request changes.")
        form.add_error(None, refusal)
    if len(passages) > _MAX_PASSAGES:
        refusal = gettext("At most %(number)s passages can be named at once. Remove some.")
        form.add_error(None, refusal % {"number": _MAX_PASSAGES})
    if asks and not passages and values["only_commented"]:
        form.add_error("only_commented", gettext("Comment on the passages that may change."))
    if asks and not passages and not values["comment"].strip():
        form.add_error("comment", gettext("Describe the changes, here or at passages."))
    if form.errors:
        return None
    return PersonsDecision(
        decision=action,
        document_version=values["document_version"],
        comment=values["comment"],
        comments=tuple(PassageComment(**each.cleaned_data) for each in passages),
        only_commented=asks and values["only_commented"],
        head_version=None if asks else values["head_version"],
    )


def _refusal(request: HttpRequest, waiting: Waiting, said: PersonsDecision) -> DomainError | None:
    """Store a decision; return why it was refused, else None."""
    step = waiting.details.step

    def decide_once() -> int:
        return decide_acceptance(
            user=person(request), execution_id=step.execution_id, step_id=step.step_id, said=said, now=database_now()
        ).version

    try:
        run_form_once(request, decide_once)
    except Invalid as error:
        return error
    except PreconditionFailed:
        return Conflict(gettext("This was not sent: a person has edited the document meanwhile."))
    except Conflict as error:
        return Conflict(gettext("This was not sent. %(reason)s") % {"reason": gettext(str(error))})
    return None


def _tell(refusal: DomainError, form: DecisionForm, passages: list[PassageForm]) -> None:
    """Add why a decision was refused to the passages that it is about, else to the form."""
    others = list[str]()
    for each in refusal.errors:
        found = _ABOUT_PASSAGE.match(each.pointer)
        if found is None:
            others.append(each.detail)
        else:
            passages[int(found[1])].add_error("text", each.detail)
    if others or not refusal.errors:
        form.add_error(None, " ".join(others) or gettext(str(refusal)))


def _passages(sent: Mapping[str, Any]) -> list[PassageForm]:
    """Return the forms of the passages that were sent, in the order of the page."""
    names = dict.fromkeys(name.split(".")[1] for name in sent if name.startswith("comments.") and name.count(".") == 2)
    return [PassageForm(sent, prefix=f"comments.{number}") for number in names]


def _page(
    request: HttpRequest,
    waiting: Waiting,
    form: DecisionForm,
    *,
    passages: list[PassageForm],
    status: int = 200,
    **shown: Any,
) -> HttpResponse:
    found = _context(request, waiting, form, passages=passages, back=way_back(request), **shown)
    found["stream"] = _stream(waiting)
    return show_page(request, "console/decision.html", section="inbox", status=status, **found)


def decision_context(request: HttpRequest, waiting: Waiting, *, back: str) -> dict[str, Any]:
    """Return what the template of an open decision shows. After the decision the person goes to `back`."""
    initial = {"document_version": waiting.row.version, "head_version": waiting.head.version}
    return _context(request, waiting, DecisionForm(initial=initial), passages=[], back=back)


def _context(
    request: HttpRequest,
    waiting: Waiting,
    form: DecisionForm,
    *,
    passages: list[PassageForm],
    back: str,
    **shown: Any,
) -> dict[str, Any]:
    row, version = waiting.row, str(form["document_version"].value() or "")
    is_overtaken = shown.get("is_sent", False) and (version != str(row.version) or not waiting.is_open)
    seen = _seen(request, waiting)
    return {
        "waiting": waiting,
        "document": row,
        "scope": row.document.scope,
        "execution": waiting.details.step.execution,
        "differences": waiting.differences(),
        "form": form,
        "passages": [passage_of(each, row, choices=[]) for each in passages],
        "written_about": version,
        "is_overtaken": is_overtaken,
        "seen": seen,
        "is_behind": seen != (row.version, waiting.head.version),
        "action": f"{waiting.path()}?{urlencode(_origin(back) | {'v': seen[0], 'head': seen[1]})}",
        "draft": f"{waiting.key}/{row.version}",
        "passage_path": passage_path(row),
        "query": urlencode(_origin(back)),
        **_state(waiting, row.version),
        **comments_of(request, row, may_comment=waiting.may_comment),
        **shown,
    }


def _seen(request: HttpRequest, waiting: Waiting) -> tuple[int, int]:
    """Return the version of the step, and the one that counts, as the page of the browser shows them.

    A script puts only the form into that page: the text beside it stays as it is.
    """
    if request.method != "POST" or not is_htmx(request):
        return waiting.row.version, waiting.head.version
    of_step = _number(request.GET.get("v") or request.POST.get("document_version"), waiting.row.version)
    return of_step, _number(request.GET.get("head") or request.POST.get("head_version"), waiting.head.version)


def _origin(back: str) -> dict[str, str]:
    """Return the parameter that remembers where the person goes on."""
    return {"from": back} if back else {}


def _number(given: str | None, default: int) -> int:
    """Return a version that a form names; another one if it names none."""
    found = number_in(given or "")
    return default if found is None else found


@part_view
def state(request: HttpRequest, execution_id: UUID, step_id: str) -> HttpResponse:
    """Render whether the shown version still waits, and who has decided."""
    waiting = Waiting.of(request, execution_id, step_id)
    version = number_in(request.GET.get("v", ""))
    if version is None:
        raise NotFound
    return render(request, "console/decision_state.html", {"waiting": waiting, **_state(waiting, version)})


def _state(waiting: Waiting, version: int) -> dict[str, Any]:
    about = [each for each in waiting.decided if each["made"].document_version == version]
    return {
        "shown_version": version,
        "state_path": f"{waiting.path('part-decision-state')}?v={version}",
        "is_waiting": waiting.is_open and waiting.row.version == version,
        "last": about[0] if about else None,
    }


@form_view
def edit_and_accept(request: HttpRequest, execution_id: UUID, step_id: str) -> HttpResponse:
    """Render the editor of a document that waits, and accept what it sends."""
    waiting = Waiting.of(request, execution_id, step_id)
    row = waiting.row
    require(request.user, row.document.scope, Role.REVIEWER)
    if request.method != "POST":
        content, conflicts = _merged(waiting) if waiting.is_proposed else (row.content, [])
        begun = Editing.begin(NoteForm(has_title=False), content, row.schema.content)
        return _editor(request, waiting, begun, known=Known.of(request, waiting), conflicts=conflicts)
    editing = Editing.receive(NoteForm(request.POST, has_title=False), request.POST, row.schema.content)
    if editing.show == "merge":
        known = Known.of(request, waiting)
        if editing.errors:
            return _editor(request, waiting, editing, known=known, status=422)
        return _editor(request, waiting, editing, merged=True, kept=known.take_over(editing))
    form = DecisionForm({**request.POST.dict(), "decision": "accept"})
    if not editing.show and editing.is_valid and form.is_valid():
        refusal = _refusal(request, waiting, _edit_said(editing, form))
        if refusal is None:
            return stored(request, _after(request, waiting))
        editing.refuse(refusal)
    waiting = Waiting.of(request, execution_id, step_id)
    known = Known.of(request, waiting)
    return _editor(request, waiting, editing, known=known, status=200 if editing.show else 422)


def _edit_said(editing: Editing, form: DecisionForm) -> PersonsDecision:
    sent = {"content": editing.content, **editing.form.given}
    return PersonsDecision(
        decision=AcceptanceAction.ACCEPT,
        document_version=form.cleaned_data["document_version"],
        head_version=form.cleaned_data["head_version"],
        edit=AcceptedEdit(edit=replace_with(editing.content), note=sent.get("note", ""), hash=digest(sent)),
    )


@dataclass(frozen=True, slots=True)
class Known:
    """The versions with whose changes an edited text was made, beside those of now."""

    waiting: Waiting
    row: Any  # of the step
    head: Any  # that counted

    @classmethod
    def of(cls, request: HttpRequest, waiting: Waiting) -> Known:
        """Return what the text of a form knows; without a form, what a new text knows.

        Raises:
            NotFound: the document has no such version.
        """
        number, sent = waiting.row.version, request.POST
        row = _number(sent.get("base") or sent.get("document_version"), number)
        unsent = waiting.head.version if waiting.row.proposed else number
        head = _number(sent.get("head_base") or sent.get("head_version"), unsent)
        return cls(waiting, cls._version(waiting, row), cls._version(waiting, head))

    @staticmethod
    def _version(waiting: Waiting, number: int) -> Any:
        shown = {each.version: each for each in (waiting.row, waiting.head)}
        if number in shown:
            return shown[number]
        return documents.version(user=waiting.user, document_id=waiting.row.document_id, number=number)

    @property
    def newer(self) -> str:
        """What another version of the step changed, as HTML; empty if there is none."""
        is_same = self.row.version == self.waiting.row.version
        return "" if is_same else difference_of(self.row, self.waiting.row)

    @property
    def has_newer_head(self) -> bool:
        """Whether another version counts now, which is not the one of the step."""
        return self.waiting.head.version not in {self.head.version, self.waiting.row.version}

    @property
    def newer_head(self) -> str:
        """What the version that counts now changed, as HTML; empty if the text knows it."""
        return difference_of(self.head, self.waiting.head) if self.has_newer_head else ""

    def take_over(self, editing: Editing) -> list[str]:
        """Put the changes of the newer versions into the text. Return where it has changed the same."""
        conflicts = list[str]()
        pairs = [(self.row, self.waiting.row)]
        if self.has_newer_head:
            pairs.append((self.head, self.waiting.head))
        for base, now in pairs:
            found = merge(base.content, editing.content, now.content, schema=now.schema.content)
            editing.take(found.content)
            conflicts += found.conflicts
        return [*dict.fromkeys(conflicts)]


def _merged(waiting: Waiting) -> tuple[Any, list[str]]:
    """Return the proposed content together with what people have changed meanwhile, and where both did."""
    base = waiting.base()
    if base is None:
        return waiting.row.content, []
    found = merge(base.content, waiting.head.content, waiting.row.content, schema=waiting.row.schema.content)
    return found.content, found.conflicts


def _editor(
    request: HttpRequest, waiting: Waiting, editing: Editing, *, known: Known | None = None, **shown: Any
) -> HttpResponse:
    row, query = waiting.row, urlencode(_origin(way_back(request)))
    return show_page(
        request,
        "console/decision_edit.html",
        section="inbox",
        waiting=waiting,
        document=row,
        editing=editing,
        differences=waiting.differences(),
        known=known or Known(waiting, row, waiting.head),
        action=waiting.path("decision-edit") + (f"?{query}" if query else ""),
        draft=f"edit-{waiting.key}/{row.version}",
        stream=_stream(waiting),
        query=query,
        **_state(waiting, row.version),
        **shown,
    )


def _after(request: HttpRequest, waiting: Waiting) -> str:
    """Return where the person goes on: to the inbox, if the page was opened from there."""
    return way_back(request) or reverse("console:execution", args=[waiting.details.step.execution_id])


def _stream(waiting: Waiting) -> str:
    """Return the event stream of the execution."""
    return f"/api/v1/executions/{waiting.details.step.execution_id}/stream"
