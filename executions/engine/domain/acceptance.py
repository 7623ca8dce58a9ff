"""What people decide about a document that waits for them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

CHANGES_REQUESTED = "changes_requested"  # code of the violation that a person's comment is


class AcceptanceAction(StrEnum):
    """What a person can say about a document."""

    ACCEPT = "accept"
    REJECT = "reject"
    #: The model works it over once more, with the comment.
    REQUEST_CHANGES = "request_changes"


class AcceptanceDecision(BaseModel):
    """One decision about one version of a step's document."""

    model_config = ConfigDict(frozen=True)

    decision: AcceptanceAction
    document_version: int
    comment: str = ""
    decided_by: str  # user name
    decided_at: datetime
