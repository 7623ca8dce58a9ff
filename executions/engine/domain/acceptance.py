"""Decisions that people make about a document that waits for acceptance."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

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
    decided_by: str  # user name
    decided_at: datetime

    @property
    def request(self) -> str:
        """The requested changes as one text, for the model."""
        return "\n".join(each for each in (self.comment, *map(_remark, self.comments)) if each)


def _remark(comment: PassageComment) -> str:
    place = comment.pointer or "/"
    return f"At {place}, “{comment.quote}”: {comment.text}" if comment.quote else f"At {place}: {comment.text}"
