"""Decisions that people make about a document that waits for acceptance."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from executions.engine.domain.states import StepStatus

CHANGES_REQUESTED = "changes_requested"  # violation code that carries a person's comment


class AcceptanceAction(StrEnum):
    """What a person can decide about a document."""

    ACCEPT = "accept"
    REJECT = "reject"
    #: The model revises the document according to the comment.
    REQUEST_CHANGES = "request_changes"


class PassageComment(BaseModel):
    """A remark about one passage of a document: a value, or a quote within a text."""

    model_config = ConfigDict(frozen=True)

    pointer: str  # RFC 6901, into the document
    quote: str = ""  # empty: the whole value
    text: str


class AcceptanceDecision(BaseModel):
    """One decision about one version of a step's document."""

    model_config = ConfigDict(frozen=True)

    decision: AcceptanceAction
    document_version: int
    comment: str = ""
    comments: tuple[PassageComment, ...] = ()  # requested changes at passages
    only_commented: bool = False  # everything but these passages has to stay as it is
    about_proposal: bool = False  # the version was only proposed, beside a head that a person had edited
    head_version: int | None = None  # with which the person compared it
    edit_hash: str = ""  # of what the person accepted in its place; empty: the version as it is
    accepted_version: int | None = None  # with which the step completed; see `accepted`
    decided_by: str  # user name
    decided_at: datetime

    @property
    def accepted(self) -> int | None:
        """The version that it accepted: the one that was read, or one that it made. None: it accepted none."""
        if self.decision is not AcceptanceAction.ACCEPT:
            return None
        return self.accepted_version or self.document_version  # decisions without it made no versions

    def is_repeated_by(self, later: AcceptanceDecision) -> bool:
        """Return whether a person has sent the same again."""
        sent = {"decision", "document_version", "comment", "comments", "only_commented", "head_version", "edit_hash"}
        return self.model_dump(include=sent) == later.model_dump(include=sent)

    @property
    def request(self) -> str:
        """The requested changes as one text, for the model."""
        return "\n".join(each for each in (self.comment, *map(_remark, self.comments)) if each)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOutcome:
    """What became of the document of a step."""

    status: StepStatus
    document_version: int | None
    decisions: tuple[AcceptanceDecision, ...] = ()


def is_accepted(maker: StepOutcome | None, versions: Container[int]) -> bool | None:
    """Return whether the head of a document is accepted, if that is known.

    A head counts as accepted that people have edited since. Staleness asks for False, and reuse for True.

    Args:
        maker: The step that made the head, or what people have edited since; None: its execution is gone.
        versions: The version that the step made, and all later ones up to the head.

    Returns:
        False: it waits for a decision, or the step has ended without it. None: the step is run again, or gone.
    """
    if maker is None:
        return None
    if any(each.accepted in versions for each in maker.decisions):
        return True
    return maker.status is StepStatus.COMPLETED if maker.document_version in versions else None


def _remark(comment: PassageComment) -> str:
    place = comment.pointer or "/"
    return f"At {place}, “{comment.quote}”: {comment.text}" if comment.quote else f"At {place}: {comment.text}"
