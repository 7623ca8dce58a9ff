"""Events of a log as sentences with links."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.urls import reverse
from django.utils.dateparse import parse_datetime
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext, ngettext

from console.execution_pages.timeline.links import difference_path, version_path
from console.execution_pages.timeline.words import WAITS, limits_in_words, name_of, quoted
from console.execution_pages.words import DECIDED, step_address
from console.templatetags.console import thousands, usd, when
from executions.engine.domain.acceptance import CHANGES_REQUESTED, AcceptanceAction
from executions.engine.domain.clarification import BY_DEADLINE
from executions.engine.domain.events import EventType, ProgressEvent
from executions.engine.domain.states import ExecutionStatus, Limit, WaitingOn
from executions.engine.prompting.prompts import FOUND_BY_REVIEW
from executions.selectors.timeline import NamedStep
from workflows.definitions.definition import OnDeadline

MAX_TEXT = 300  # characters of a comment or an error in a sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An event, and the steps that it names."""

    execution_id: UUID
    event: ProgressEvent
    steps: Mapping[str, NamedStep]

    @property
    def data(self) -> dict[str, Any]:
        """What the event tells."""
        return self.event.data

    @property
    def step(self) -> SafeString:
        """Its step, as a link."""
        return self.link_to(self.event.step_id or "")

    def link_to(self, step_id: str) -> SafeString:
        """Return a step as a link."""
        known = self.steps.get(step_id)
        name = step_id if known is None else name_of(known.name, known.label, step_id)
        return format_html('<a href="{}"><bdi>{}</bdi></a>', step_address(self.execution_id, step_id), name)

    def who(self, field: str) -> SafeString:
        """Return the person whose name is in a field."""
        return format_html("<bdi>{}</bdi>", self.data.get(field) or gettext("the system"))

    @property
    def document_id(self) -> UUID | str | None:
        """The document that it is about: the one that it names, or that of its step."""
        known = self.steps.get(self.event.step_id or "")
        return self.data.get("document_id") or (None if known is None else known.document_id)

    @property
    def document(self) -> SafeString:
        """The version of a document that it is about, as a link."""
        known, number = self.steps.get(self.event.step_id or ""), self.data["document_version"]
        name = self.data.get("title") or (known.name if known else "") or self.data.get("document_type") or ""
        text = gettext("{name} version {number}").format(name=name, number=number)
        if self.document_id is None:
            return format_html("<bdi>{}</bdi>", text)
        return format_html('<a href="{}"><bdi>{}</bdi></a>', version_path(self.document_id, number), text)


def sentence(told: Told) -> SafeString:
    """Return an event as a sentence. One of a newer version, which has no sentence, tells its name."""
    try:
        kind = EventType(told.event.event_type)
    except ValueError:
        return format_html(gettext("An event of a newer version: {name}"), name=told.event.event_type)
    return SENTENCES[kind](told)


def is_failure(event: ProgressEvent) -> bool:
    """Whether an event tells of something that went wrong for good."""
    failed = event.event_type == EventType.COMPLETE and event.data.get("status") == ExecutionStatus.FAILED
    return failed or event.event_type == EventType.STEP_FAILED


def _with(first: SafeString, *rest: SafeString | str) -> SafeString:
    """Join the parts of a sentence that are there."""
    return format_html_join(" ", "{}", ((each,) for each in (first, *rest) if each))


def _quote(text: object) -> str:
    return quoted(Truncator(str(text or "")).chars(MAX_TEXT)) if text else ""


def _moment(value: object) -> SafeString | str:
    return when(parse_datetime(str(value))) if value else ""


def _created(told: Told) -> SafeString:
    scope = told.data["scope"]
    sentence = (
        gettext("{who} started a dry run of {workflow} version {version} in {scope}.")
        if told.data.get("dry_run")
        else gettext("{who} started {workflow} version {version} in {scope}.")
    )
    address = f"{reverse('console:workflow', args=[told.data['workflow_id']])}?v={told.data['workflow_version']}"
    return format_html(
        sentence,
        who=told.who("requested_by"),
        workflow=format_html('<a href="{}">{}</a>', address, told.data["workflow_id"]),
        version=told.data["workflow_version"],
        scope=format_html("<bdi>{} {}</bdi>", scope["type"], scope["key"]),
    )


def _begun(told: Told) -> SafeString:
    return format_html("{}", gettext("A worker began the execution."))


def _step_started(told: Told) -> SafeString:
    attempt, model = told.data["attempt"], told.data.get("model")
    sentence = gettext("{step} began.") if attempt == 1 else gettext("{step} began attempt {attempt}.")
    written = gettext("Model: {model}.").format(model=model) if model else ""
    first = format_html(sentence, step=told.step, attempt=attempt)
    return _with(first, format_html('<span class="hint">{}</span>', written) if written else "")


def _remediation_started(told: Told) -> SafeString:
    found: Sequence[Mapping[str, Any]] = told.data["violations"]
    codes = {each["code"] for each in found}
    if codes <= {CHANGES_REQUESTED}:
        sentence = gettext("The model revises {step} as it was asked to: attempt {attempt}.")
    elif FOUND_BY_REVIEW in codes:
        sentence = gettext("The model revises {step} after the review: attempt {attempt}.")
    else:
        return _invalid(told, found)
    return format_html(sentence, step=told.step, attempt=told.data["attempt"])


def _invalid(told: Told, found: Sequence[Mapping[str, Any]]) -> SafeString:
    sentence = gettext("The output of {step} was not valid: {fault} Attempt {attempt} begins.")
    first = f"{found[0]['pointer']} {found[0]['detail']}".strip() if found else ""
    more = len(found) - 1
    rest = ngettext("{number} more fault.", "{number} more faults.", more).format(number=more) if more > 0 else ""
    fault = format_html("<q>{}</q>", Truncator(first).chars(MAX_TEXT))
    return _with(format_html(sentence, step=told.step, fault=fault, attempt=told.data["attempt"]), rest)


def _review_started(told: Told) -> SafeString:
    return format_html(gettext("{model} began to review {step}."), model=told.data["model"], step=told.step)


def _review_completed(told: Told) -> SafeString:
    found = told.data.get("findings") or []
    if told.data["verdict"] == "satisfied":
        return format_html(gettext("The review found nothing to change in {step}."), step=told.step)
    sentence = ngettext(
        "The review found {number} fault in {step}: {first}",
        "The review found {number} faults in {step}: {first}",
        len(found),
    )
    return format_html(sentence, number=len(found), step=told.step, first=_quote(found[0]["detail"] if found else ""))


def _questions(told: Told) -> SafeString:
    asked = told.data["questions"]
    sentence = ngettext("{step} asks {number} question: {first}", "{step} asks {number} questions: {first}", len(asked))
    first = _quote(asked[0]["text"] if asked else "")
    return _with(format_html(sentence, step=told.step, number=len(asked), first=first), _deadline(told))


def _deadline(told: Told) -> SafeString | str:
    if not told.data.get("expires_at"):
        return ""
    sentence = gettext("Answers are wanted until {moment}.")
    if told.data.get("on_deadline") == OnDeadline.DEFAULTS:
        sentence = gettext("After {moment} the default answers apply.")
    elif told.data.get("on_deadline") == OnDeadline.FAIL:
        sentence = gettext("After {moment} the step fails.")
    return format_html(sentence, moment=_moment(told.data["expires_at"]))


def _answered(told: Told) -> SafeString:
    if told.data["answered_by"] == BY_DEADLINE:
        sentence = gettext("The deadline passed without answers: {step} goes on with the default answers.")
        return format_html(sentence, step=told.step)
    return format_html(gettext("{who} answered the questions of {step}."), who=told.who("answered_by"), step=told.step)


def _acceptance_needed(told: Told) -> SafeString:
    sentence = (
        gettext("{document} is proposed beside the version that a person edited, and waits for a decision.")
        if told.data.get("proposed")
        else gettext("{document} waits for a decision.")
    )
    return format_html(sentence, document=told.document)


def _voted(told: Told) -> SafeString:
    sentence = gettext("{who} voted on {document}: {vote}. {votes} of {required} votes accept it.")
    vote = DECIDED[AcceptanceAction(told.data["vote"])]
    counts = {"votes": told.data["votes"], "required": told.data["required"]}
    return format_html(sentence, who=told.who("voted_by"), document=told.document, vote=vote, **counts)


def _decided(told: Told) -> SafeString:
    sentence = {
        AcceptanceAction.ACCEPT: gettext("{who} accepted {document}{comment}"),
        AcceptanceAction.REJECT: gettext("{who} rejected {document}{comment}"),
        AcceptanceAction.REQUEST_CHANGES: gettext("{who} sent {document} back{comment}"),
    }[AcceptanceAction(told.data["decision"])]
    comment = _quote(told.data.get("comment"))
    said = format_html(": {}", comment) if comment else "."
    passages = len(told.data.get("comments") or ())
    told_of = ngettext("{number} passage with a comment.", "{number} passages with a comment.", passages)
    return _with(
        format_html(sentence, who=told.who("decided_by"), document=told.document, comment=said),
        told_of.format(number=passages) if passages else "",
        _difference(told),
    )


def _difference(told: Told) -> SafeString | str:
    """Return the link to what came of a version that was sent back; empty before the next version."""
    known, number = told.steps.get(told.event.step_id or ""), told.data["document_version"]
    is_revised = known is not None and known.document_version is not None and known.document_version > number
    if told.data["decision"] != AcceptanceAction.REQUEST_CHANGES or not is_revised or told.document_id is None:
        return ""
    address = difference_path(told.document_id, number, number + 1)
    text = gettext("What changed from {before} to {after}").format(before=number, after=number + 1)
    return format_html('<a href="{}">{}</a>', address, text)


def _reminder(told: Told) -> SafeString:
    return _due(told, gettext("Reminder: {what} for {step} until {moment}."))


def _overdue(told: Told) -> SafeString:
    return _due(told, gettext("Overdue: {what} for {step} until {moment}."))


def _due(told: Told, template: str) -> SafeString:
    answers = told.data["waiting_on"] == WaitingOn.CLARIFICATION
    what = gettext("answers were wanted") if answers else gettext("a decision was wanted")
    first = format_html(template, what=what, step=told.step, moment=_moment(told.data["due_at"]))
    assigned = ", ".join(told.data.get("assignees") or ())
    return _with(first, gettext("Assigned to {names}.").format(names=assigned) if assigned else "")


def _edited(told: Told) -> SafeString:
    is_new = told.data.get("base_version") is None
    sentence = gettext("{who} added {document}.") if is_new else gettext("{who} wrote {document}.")
    first = format_html(sentence, who=told.who("edited_by"), document=told.document)
    return _with(first, _quote(told.data.get("note")))


def _reused(told: Told) -> SafeString:
    sentence = gettext("{step} needs no model: the scope has {document} already.")
    return format_html(sentence, step=told.step, document=told.document)


def _completed(told: Told) -> SafeString:
    cost = told.data.get("cost_usd")
    spent = gettext("Its cost is not known.") if cost is None else usd(Decimal(cost))
    first = format_html(gettext("{step} is done: {document}."), step=told.step, document=told.document)
    return _with(first, format_html('<span class="hint">{}</span>', spent))


def _failed(told: Told) -> SafeString:
    error = Truncator(told.data.get("error") or "").chars(MAX_TEXT)
    return format_html(gettext("{step} failed: {error}"), step=told.step, error=error or told.data["failure_code"])


def _cancelled(told: Told) -> SafeString:
    return format_html(gettext("{step} was cancelled."), step=told.step)


def _skipped(told: Told) -> SafeString:
    return format_html(gettext("{step} was skipped: {reason}."), step=told.step, reason=told.data.get("reason", ""))


def _waiting(told: Told) -> SafeString:
    on = gettext(", ").join(str(WAITS[WaitingOn(each)]) for each in told.data["waiting_on"])
    if told.data.get("resume_at"):
        sentence = gettext("The execution waits for {what}, until {moment} at most.")
        return format_html(sentence, what=on, moment=_moment(told.data["resume_at"]))
    return format_html(gettext("The execution waits for {what}."), what=on)


def _resumed(told: Told) -> SafeString:
    return format_html("{}", gettext("The execution goes on."))


def _retried(told: Told) -> SafeString:
    if told.data.get("from_step"):
        sentence = gettext("{who} retried the execution from {step} on.")
        return format_html(sentence, who=told.who("requested_by"), step=told.link_to(told.data["from_step"]))
    return format_html(gettext("{who} retried the execution."), who=told.who("requested_by"))


def _warned(told: Told) -> SafeString:
    limit = Limit(told.data["limit"])
    used, most = (_amount(limit, told.data[name]) for name in ("used", "maximum"))
    return format_html(gettext("{used} of {most} are used or reserved."), used=used, most=most)


def _amount(limit: Limit, amount: Any) -> str:
    return limits_in_words({limit.value: amount})[0]


def _budget_changed(told: Told) -> SafeString:
    limits = gettext(", ").join(limits_in_words(told.data.get("budget") or {}))
    sentence = gettext("{who} changed the limits: at most {limits}.")
    if not limits:
        sentence = gettext("{who} took all limits away.")
    return format_html(sentence, who=told.who("changed_by"), limits=limits)


def _ended(told: Told) -> SafeString:
    status, totals = ExecutionStatus(told.data["status"]), told.data.get("totals") or {}
    sentence = {
        ExecutionStatus.COMPLETED: gettext("The execution is completed."),
        ExecutionStatus.FAILED: gettext("The execution failed."),
        ExecutionStatus.CANCELLED: gettext("The execution was cancelled."),
    }[status]
    calls = totals.get("calls", 0)
    spent = [ngettext("{number} call", "{number} calls", calls).format(number=thousands(calls))]
    if totals.get("cost_usd") is not None:
        spent.append(usd(Decimal(totals["cost_usd"])))
    return _with(format_html("{}", sentence), format_html('<span class="hint">{}</span>', " · ".join(spent)))


SENTENCES: Mapping[EventType, Callable[[Told], SafeString]] = {
    EventType.EXECUTION_CREATED: _created,
    EventType.EXECUTION_STARTED: _begun,
    EventType.STEP_STARTED: _step_started,
    EventType.REMEDIATION_STARTED: _remediation_started,
    EventType.REVIEW_STARTED: _review_started,
    EventType.REVIEW_COMPLETED: _review_completed,
    EventType.CLARIFICATION_NEEDED: _questions,
    EventType.CLARIFICATION_ANSWERED: _answered,
    EventType.ACCEPTANCE_NEEDED: _acceptance_needed,
    EventType.ACCEPTANCE_VOTED: _voted,
    EventType.ACCEPTANCE_DECIDED: _decided,
    EventType.WAIT_REMINDER: _reminder,
    EventType.WAIT_OVERDUE: _overdue,
    EventType.DOCUMENT_EDITED: _edited,
    EventType.STEP_REUSED: _reused,
    EventType.STEP_COMPLETED: _completed,
    EventType.STEP_FAILED: _failed,
    EventType.STEP_CANCELLED: _cancelled,
    EventType.STEP_SKIPPED: _skipped,
    EventType.EXECUTION_WAITING: _waiting,
    EventType.EXECUTION_RESUMED: _resumed,
    EventType.EXECUTION_RETRIED: _retried,
    EventType.BUDGET_WARNING: _warned,
    EventType.BUDGET_CHANGED: _budget_changed,
    EventType.COMPLETE: _ended,
}
