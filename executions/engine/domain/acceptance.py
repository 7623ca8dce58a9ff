"""Decisions that people make about a document that waits for acceptance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, JsonValue

from common.errors import FieldError
from executions.engine.domain.users import UserRef

CHANGES_REQUESTED = "changes_requested"  # violation code that carries a person's comment
CHANGED_ELSEWHERE = "changed_elsewhere"  # violation code of a place that has to stay as a person has read it


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
    decided_by_id: int | None = None  # user id; None: the decision was made before ids were recorded
    decided_at: datetime

    @property
    def accepts(self) -> bool:
        """Whether it accepts the version."""
        return self.decision is AcceptanceAction.ACCEPT

    @property
    def accepted(self) -> int | None:
        """The version that it accepted: the one that was read, or one that it made. None: it accepted none."""
        if self.decision is not AcceptanceAction.ACCEPT:
            return None
        return self.accepted_version or self.document_version  # decisions without it made no versions

    def is_repeated_by(self, later: AcceptanceDecision) -> bool:
        """Return whether the same person has sent the same again."""
        sent = {"decision", "document_version", "comment", "comments", "only_commented", "head_version", "edit_hash"}
        return self.user.is_same(later.user) and self.model_dump(include=sent) == later.model_dump(include=sent)

    @property
    def user(self) -> UserRef:
        """The user who has decided."""
        return UserRef(name=self.decided_by, id=self.decided_by_id)

    @property
    def violations(self) -> tuple[FieldError, ...]:
        """The requested changes as violations of the version, for the model."""
        general = (PassageComment(pointer="", text=self.comment),) if self.comment else ()
        return tuple(map(_violation, (*general, *self.comments)))

    @property
    def request(self) -> str:
        """The requested changes as one text, for the model."""
        return "\n".join(each for each in (self.comment, *map(_remark, self.comments)) if each)


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """A version that a person has read, and the request for changes that the next version follows."""

    content: Mapping[str, JsonValue]
    request: AcceptanceDecision


def _violation(comment: PassageComment) -> FieldError:
    detail = f"“{comment.quote}”: {comment.text}" if comment.quote else comment.text
    return FieldError(pointer=comment.pointer, code=CHANGES_REQUESTED, detail=detail)


def _remark(comment: PassageComment) -> str:
    place = comment.pointer or "/"
    return f"At {place}, “{comment.quote}”: {comment.text}" if comment.quote else f"At {place}: {comment.text}"
