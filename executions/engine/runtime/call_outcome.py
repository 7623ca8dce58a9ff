"""What the reply of an earlier call was, and what was found wrong in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from common.errors import FieldError
from executions.engine.domain.acceptance import CHANGES_REQUESTED
from executions.engine.domain.calls import Call, ModelReply, ModelRequest
from executions.engine.domain.states import CallKind, CallStatus
from executions.engine.prompting.prompts import FOUND_BY_REVIEW, RejectedOutput
from executions.engine.prompting.replies import Questions, Unusable, ValidDocument, Violations, parse_reply
from executions.engine.transitions.reviews import Judgement, review_of


class ReplyKind(StrEnum):
    """What a reply is."""

    DOCUMENT = "document"
    QUESTIONS = "questions"
    VERDICT = "verdict"  # of a reviewer
    INVALID = "invalid"  # a correction can repair it
    UNUSABLE = "unusable"  # a refusal, or cut off


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOutcome:
    """What a reply was, and what was found wrong in it."""

    kind: ReplyKind
    violations: tuple[FieldError, ...] = ()  # found by rules
    verdict: str | None = None  # by the last reviewer of this document; of a review: its own
    findings: tuple[FieldError, ...] = ()  # by that reviewer, or by a person who requested changes


def outcome_of(
    call: Call, reply: ModelReply, *, request: ModelRequest, known: Sequence[Call], recorded: Sequence[FieldError]
) -> CallOutcome:
    """Return the outcome of a call.

    Args:
        call: The call.
        reply: Its reply.
        request: What was sent.
        known: All calls of the step, oldest first.
        recorded: The violations with which the attempt ended, by the event log.
    """
    if call.key.kind is CallKind.REVIEW:
        return _of_review(call)
    said = parse_reply(reply, schema=request.output_schema, max_questions=request.max_questions)
    match said:
        case Unusable(failure=failure):
            told = FieldError(pointer="", code=failure.code.value, detail=failure.message)
            return CallOutcome(kind=ReplyKind.UNUSABLE, violations=(told,))
        case Violations(errors=errors):
            return CallOutcome(kind=ReplyKind.INVALID, violations=errors)
        case Questions():
            return CallOutcome(kind=ReplyKind.QUESTIONS)
        case ValidDocument():
            return _of_document(call, known, recorded)
    assert_never(said)


def _of_document(call: Call, known: Sequence[Call], recorded: Sequence[FieldError]) -> CallOutcome:
    """Return the outcome of a document that is valid against its schema: more rules, a review, a person's decision."""
    if call.status is not CallStatus.COMMITTED:
        return CallOutcome(kind=ReplyKind.DOCUMENT)
    violations = tuple(each for each in recorded if each.code not in {FOUND_BY_REVIEW, CHANGES_REQUESTED})
    requested = tuple(each for each in recorded if each.code == CHANGES_REQUESTED)
    judged = _judgement_about(call, known)
    return CallOutcome(
        kind=ReplyKind.INVALID if violations else ReplyKind.DOCUMENT,
        violations=violations,
        verdict=None if judged is None else judged.verdict.value,
        findings=(() if judged is None else judged.findings) + requested,
    )


def _judgement_about(call: Call, known: Sequence[Call]) -> Judgement | None:
    """Return the judgement about the document of a call; None: there is none."""
    reviews = [
        each
        for each in known
        if each.key.kind is CallKind.REVIEW and each.key.attempt == call.key.attempt and each.reply is not None
    ]
    judged = [each for each in map(review_of, reviews) if isinstance(each, Judgement)]
    return judged[-1] if judged else None


def _of_review(call: Call) -> CallOutcome:
    said = review_of(call)
    match said:
        case Judgement(verdict=verdict, findings=findings):
            return CallOutcome(kind=ReplyKind.VERDICT, verdict=verdict.value, findings=findings)
        case RejectedOutput(violations=violations):
            return CallOutcome(kind=ReplyKind.INVALID, violations=violations)
        case Unusable(failure=failure):
            told = FieldError(pointer="", code=failure.code.value, detail=failure.message)
            return CallOutcome(kind=ReplyKind.UNUSABLE, violations=(told,))
    assert_never(said)
