"""What people answered and decided in an execution, by its steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.utils.translation import gettext, gettext_lazy

from common.errors import NotFound
from common.names import in_words
from console.execution_pages.timeline.links import difference_path, version_path
from console.execution_pages.timeline.words import name_of
from console.execution_pages.words import DECIDED, step_address
from console.shell import number_in
from documents.files import storage
from executions.engine.domain.acceptance import AcceptanceAction, AcceptanceDecision
from executions.engine.domain.clarification import BY_DEADLINE, AnswerType, ClarificationRound, Question
from executions.selectors import timeline
from workflows.definitions.definition import OnDeadline

PAGE_SIZE = 20  # steps
_AFTER = {
    OnDeadline.DEFAULTS: gettext_lazy("then the default answers apply"),
    OnDeadline.FAIL: gettext_lazy("then the step fails"),
    OnDeadline.WAIT: gettext_lazy("later answers are accepted, too"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A question and its answer."""

    question: Question
    texts: Sequence[str] = ()  # several of a multiple choice
    file: UUID | None = None  # that answers it; a file that the reader may not see has no link
    size: int = 0  # of the file

    @property
    def is_long(self) -> bool:
        """Whether it was written as text, perhaps of several lines."""
        return self.question.answer_type is AnswerType.FREE_TEXT


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One round of questions."""

    asked: ClarificationRound
    answers: Sequence[Answer]

    @property
    def is_open(self) -> bool:
        """Whether no answers are there yet."""
        return self.asked.answered_at is None

    @property
    def by_deadline(self) -> bool:
        """Whether the default answers apply because no person has answered in time."""
        return self.asked.answered_by == BY_DEADLINE

    @property
    def after(self) -> str:
        """What happens at the deadline; empty without one."""
        return str(_AFTER[self.asked.on_deadline]) if self.asked.on_deadline else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A decision about a version of a document."""

    made: AcceptanceDecision
    what: str
    href: str  # of the version; empty: the document is not known any more
    accepted: str  # of another version that was accepted; empty: there is none
    difference: str  # to the next version; empty: there is none
    passages: Sequence[tuple[str, str, str]]  # place in words, quote, comment


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What people said about one step."""

    step_id: str
    name: str
    href: str
    rounds: Sequence[Round]
    decisions: Sequence[Decision]


@dataclass(frozen=True, slots=True, kw_only=True)
class SaidPage:
    """One page of the steps about which people said something."""

    steps: Sequence[Said]
    page: int
    has_more: bool

    @classmethod
    def read(cls, request: HttpRequest, execution_id: UUID) -> SaidPage:
        """Read the page that an address names.

        Raises:
            NotFound: it names none.
        """
        page = number_in(request.GET.get("page", "1"))
        if not page:
            raise NotFound
        rows = timeline.steps_with_people(execution_id, start=(page - 1) * PAGE_SIZE, limit=PAGE_SIZE + 1)
        if page > 1 and not rows:
            raise NotFound
        rounds = {each.step_id: [ClarificationRound.model_validate(one) for one in each.rounds] for each in rows}
        files = _files(request, (one for each in rounds.values() for one in each))
        steps = [_said(each, rounds[each.step_id], files) for each in rows[:PAGE_SIZE]]
        return cls(steps=steps, page=page, has_more=len(rows) > PAGE_SIZE)


_Files = Mapping[UUID, storage.UsableFile]


def _files(request: HttpRequest, rounds: Iterable[ClarificationRound]) -> _Files:
    """Return the files that answer questions, without those that the reader may not see."""
    ids = {
        UUID(str(answer))
        for each in rounds
        for question in each.questions
        if question.answer_type is AnswerType.FILE and (answer := (each.answers or {}).get(question.id))
    }
    return storage.readable_files(user=request.user, file_ids=ids) if ids else {}


def _said(step: Any, rounds: Sequence[ClarificationRound], files: _Files) -> Said:
    return Said(
        step_id=step.step_id,
        name=name_of(step.name, step.label, step.step_id),
        href=step_address(step.execution_id, step.step_id),
        rounds=[Round(asked=each, answers=_answers(each, files)) for each in rounds],
        decisions=[_decision(AcceptanceDecision.model_validate(each), step) for each in step.decisions],
    )


def _answers(told: ClarificationRound, files: _Files) -> list[Answer]:
    return [_answer(each, (told.answers or {}).get(each.id), files) for each in told.questions]


def _answer(question: Question, given: Any, files: _Files) -> Answer:
    if given is None:
        return Answer(question=question)
    if question.answer_type is AnswerType.FILE:
        file = files.get(UUID(str(given)))
        if file is None:
            return Answer(question=question, texts=[gettext("a file that is not here any more")])
        return Answer(question=question, texts=[file.name], file=UUID(str(given)), size=file.size)
    if question.answer_type is AnswerType.YES_NO:
        return Answer(question=question, texts=[gettext("yes") if given else gettext("no")])
    labels = {each.value: each.label for each in question.choices}
    chosen = given if isinstance(given, list) else [given]
    return Answer(question=question, texts=[labels.get(str(each), str(each)) for each in chosen])


def _decision(made: AcceptanceDecision, step: Any) -> Decision:
    number, document_id = made.document_version, step.document_id
    other = made.accepted if made.accepted != number else None
    is_back = made.decision is AcceptanceAction.REQUEST_CHANGES
    is_revised = is_back and step.document_version is not None and step.document_version > number
    return Decision(
        made=made,
        what=str(DECIDED[made.decision]),
        href=version_path(document_id, number) if document_id else "",
        accepted=version_path(document_id, other) if document_id and other else "",
        difference=difference_path(document_id, number, number + 1) if document_id and is_revised else "",
        passages=[(place_in_words(each.pointer), each.quote, each.text) for each in made.comments],
    )


def place_in_words(pointer: str) -> str:
    """Return a place in a document: `/epics/0/goal` is `Epics 1, Goal`."""
    told: list[str] = []
    for part in pointer.split("/")[1:]:
        if part.isdigit() and told:
            told[-1] += f" {int(part) + 1}"
        else:
            told.append(in_words(part.replace("~1", "/").replace("~0", "~")))
    return ", ".join(told) or gettext("the whole document")
