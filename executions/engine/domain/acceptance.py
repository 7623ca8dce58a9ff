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


class AcceptanceDecision(BaseModel):
    """One decision about one version of a step's document."""

    model_config = ConfigDict(frozen=True)

    decision: AcceptanceAction
    document_version: int
    comment: str = ""
    about_proposal: bool = False  # the version was only proposed, beside a head that a person had edited
    decided_by: str  # user name
    decided_at: datetime
