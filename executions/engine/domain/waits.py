"""Waits of steps for people: who acts, who votes, until when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict

from executions.engine.domain.acceptance import AcceptanceAction, AcceptanceDecision
from executions.engine.domain.users import UserRef
from workflows.definitions.definition import ApproversPolicy, WaitPolicy


class Vote(BaseModel):
    """One of several votes that accept a version of a document."""

    model_config = ConfigDict(frozen=True)

    document_version: int
    head_version: int | None = None  # with which the person compared a proposed version
    voted_by: str  # user name
    voted_by_id: int | None = None  # None: the vote was cast before ids were recorded
    voted_at: datetime

    def is_of(self, user: UserRef) -> bool:
        """Return whether the user has cast it."""
        return user.is_same(UserRef(name=self.voted_by, id=self.voted_by_id))

    def is_about(self, document_version: int, head_version: int | None) -> bool:
        """Return whether it is about this version, compared with this head. Only proposals need a head."""
        same_head = None in {self.head_version, head_version} or self.head_version == head_version
        return self.document_version == document_version and same_head


class Wait(BaseModel):
    """A step's wait for answers, or for a decision about its document."""

    model_config = ConfigDict(frozen=True)

    since: datetime
    assignees: tuple[str, ...] = ()  # user names; empty: all users with the role
    approvers: ApproversPolicy | None = None  # None: one decision is enough
    due_at: datetime | None = None  # None: no due date
    remind_seconds_before: float | None = None  # before the due date; None: no reminder
    reminded: bool = False  # `wait_reminder` was written for this due date
    told_overdue: bool = False  # `wait_overdue` was written for this due date
    edited_by: str = ""  # user who made the version that waits; empty: a model made it
    edited_by_id: int | None = None
    earlier_editors: tuple[UserRef, ...] = ()  # users who made the versions between the model's and this one
    votes: tuple[Vote, ...] = ()  # oldest first, also those about earlier versions

    @property
    def remind_at(self) -> datetime | None:
        """When the reminder is due; None: there is none, or it was written."""
        if self.due_at is None or self.remind_seconds_before is None or self.reminded or self.told_overdue:
            return None
        return self.due_at - timedelta(seconds=self.remind_seconds_before)

    @property
    def next_at(self) -> datetime | None:
        """When the next event about the due date has to be written; None: never."""
        if self.due_at is None or self.told_overdue:
            return None
        return self.remind_at or self.due_at

    @property
    def required(self) -> int:
        """Number of votes that accept the document."""
        if self.approvers is None:
            return 1
        return max(1, len(self.assignees)) if self.approvers.required == "all" else self.approvers.required

    @property
    def has_four_eyes(self) -> bool:
        """Whether two persons have to look at the version."""
        return self.approvers is not None and self.approvers.four_eyes

    @property
    def needs_others(self) -> bool:
        """Whether one person alone cannot decide which version the step completes with."""
        return self.has_four_eyes or self.required > 1

    @property
    def editors(self) -> tuple[UserRef, ...]:
        """Users whose text the version can hold: those who made it, and the versions since the model's."""
        last = (UserRef(name=self.edited_by, id=self.edited_by_id),) if self.edited_by else ()
        return (*self.earlier_editors, *last)

    @property
    def voters(self) -> tuple[str, ...] | None:
        """The only users who may vote; None: all reviewers may."""
        return self.assignees if self.approvers is not None and self.assignees else None

    def refusal(self, user: UserRef, *, starter: UserRef) -> str:
        """Return why a user may not vote about the document; empty if the user may."""
        if self.approvers is None:
            return ""
        if self.voters is not None and user.name not in self.voters:
            return f"Only its assignees decide about this document: {', '.join(self.voters)}."
        if self.has_four_eyes and user.is_same(starter):
            return "You started this execution, so another user has to decide about this document."
        if self.has_four_eyes and any(map(user.is_same, self.editors)):
            return "You edited this version, so another user has to decide about it."
        return ""

    def votes_for(self, document_version: int, head_version: int | None) -> tuple[Vote, ...]:
        """Return the votes for this version, compared with this head, of users who may vote."""
        cast = (each for each in self.votes if each.is_about(document_version, head_version))
        return tuple(each for each in cast if self.voters is None or each.voted_by in self.voters)

    def votes_beside(self, decision: AcceptanceDecision) -> tuple[Vote, ...]:
        """Return the votes of other users for the version of a decision."""
        cast = self.votes_for(decision.document_version, decision.head_version)
        return tuple(each for each in cast if not each.is_of(decision.user))

    def voted_by(self, document_version: int) -> list[str]:
        """Return the users who have accepted this version, in order."""
        return list(dict.fromkeys(each.voted_by for each in self.votes if each.document_version == document_version))

    def is_settled_by(self, decision: AcceptanceDecision) -> bool:
        """Return whether the decision decides: it does not accept, or its vote is the last that is missing."""
        if decision.decision is not AcceptanceAction.ACCEPT:
            return True
        return len(self.votes_beside(decision)) + 1 >= self.required

    def with_vote(self, decision: AcceptanceDecision) -> Wait:
        """Return the wait with the decision as one more vote."""
        vote = Vote(
            document_version=decision.document_version,
            head_version=decision.head_version,
            voted_by=decision.decided_by,
            voted_by_id=decision.decided_by_id,
            voted_at=decision.decided_at,
        )
        return self.with_votes((*self.votes, vote))

    def with_votes(self, votes: Sequence[Vote]) -> Wait:
        """Return the wait with these votes in place of the present ones."""
        return self.model_copy(update={"votes": tuple(votes)})

    def assigned(self, assignees: Sequence[str], *, due_at: datetime | None) -> Wait:
        """Return the wait with other assignees, and a due date. Another date is told of again."""
        changes: dict[str, object] = {"assignees": tuple(dict.fromkeys(assignees)), "due_at": due_at}
        if due_at != self.due_at:
            changes |= {"reminded": False, "told_overdue": False}
        return self.model_copy(update=changes)

    def edited(self, *, by: str, user_id: int | None) -> Wait:
        """Return the wait for a decision about a version that a person has made. Votes are cast again."""
        return self.written_by((*self.editors, *([UserRef(name=by, id=user_id)] if by else [])))

    def written_by(self, editors: Sequence[UserRef]) -> Wait:
        """Return the wait for a decision about a version that has these editors, oldest first. Votes are cast again."""
        last = editors[-1] if editors else UserRef(name="")
        earlier = tuple(each for each in dict.fromkeys(editors) if each != last)
        changes = {"edited_by": last.name, "edited_by_id": last.id, "earlier_editors": earlier, "votes": ()}
        return self.model_copy(update=changes)

    def reopened(self, now: datetime) -> Wait:
        """Return the wait begun anew: people get the same time as before, and votes are cast again."""
        due_at = None if self.due_at is None else now + (self.due_at - self.since)
        return self.model_copy(
            update={"since": now, "due_at": due_at, "reminded": False, "told_overdue": False, "votes": ()}
        )


def new_wait(policy: WaitPolicy, *, now: datetime) -> Wait:
    """Return the wait that begins now."""
    return Wait(
        since=now,
        assignees=policy.assignees,
        approvers=policy.approvers,
        due_at=None if policy.due_seconds is None else now + timedelta(seconds=policy.due_seconds),
        remind_seconds_before=policy.remind_seconds_before,
    )
