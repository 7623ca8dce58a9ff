"""Database tables of the executions app. Only `persistence`, `selectors`, `worker` and `admin` use them directly."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import models
from django.db.models import Q

from common.database.json_field import JsonTextField
from executions.engine.domain.states import Erasing, ExecutionStatus, InboxKind, Reuse, StepStatus

_REAL, _DRY = Q(script__isnull=True), Q(script__isnull=False)  # dry runs have a script


def _index_of_waits(what: str) -> models.Index:
    """Return the index of the executions that wait for something; nothing else changes with it than the status."""
    name, condition = f"execution_waits_{what}", Q(waiting_on__contains=[what])
    return models.Index(fields=["status", "created_at", "id"], name=name, condition=condition)


class Execution(models.Model):
    """One run of a workflow version in a scope. `version` guards every write to it and its steps."""

    id = models.UUIDField(primary_key=True, editable=False)
    workflow_version = models.ForeignKey("workflows.WorkflowVersion", on_delete=models.PROTECT, related_name="+")
    workflow_id = models.CharField(max_length=63)
    scope = models.ForeignKey(
        "access.Scope", on_delete=models.PROTECT, related_name="+", db_index=False
    )  # execution_scope begins with it
    status = models.CharField(max_length=20, choices={each.value: each.name.title() for each in ExecutionStatus})
    version = models.PositiveIntegerField(default=1)
    claimed_by = models.CharField(max_length=100, null=True)
    fencing_token = models.PositiveIntegerField(default=0)  # rises with every claim
    recoveries = models.PositiveIntegerField(default=0)  # claims after a lost worker, since a step last made progress
    last_sequence = models.PositiveIntegerField(default=0)  # number of the newest event
    oldest_sequence = models.PositiveIntegerField(default=1, db_default=1)  # sequence number of the oldest stored event
    pruned = models.BooleanField(default=False, db_default=False)  # the log was pruned after the last write
    waited = models.DurationField(default=timedelta, db_default=timedelta())  # waiting time according to pruned events
    waiting_on = models.JSONField(default=list)
    failure_code = models.CharField(max_length=40, blank=True)
    failure_message = models.TextField(blank=True)
    input = JsonTextField(null=True)  # the brief: a text or an object; NULL: none was given
    tags = models.JSONField(default=list)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )  # NULL: the system, or a deleted user
    requested_by_name = models.CharField(max_length=150, blank=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    resume_at = models.DateTimeField(null=True)  # deferred until then; NULL: not deferred
    deadline_at = models.DateTimeField(null=True)  # of questions, or to tell of a due date
    budget = models.JSONField(null=True)  # limits by name; NULL: none
    script = models.JSONField(null=True)  # script of a dry run; NULL: not a dry run
    reuse = models.CharField(
        max_length=20, choices={each.value: each.name.title() for each in Reuse}, default="none", db_default="none"
    )  # of the scope's documents
    warned_limits = models.JSONField(default=list, db_default=[])  # limits that people were told of
    ran_seconds = models.FloatField(default=0.0, db_default=0.0)  # run time before `running_since`
    running_since = models.DateTimeField(null=True)  # NULL while it is not running
    erased_at = models.DateTimeField(null=True)  # when its contents were erased; NULL: they were not
    #: What still has to be erased, in batches; empty: nothing.
    erasing = models.CharField(
        max_length=10,
        choices={each.value: each.name.title() for each in Erasing},
        blank=True,
        default="",
        db_default="",
    )

    brief_hash = models.CharField(max_length=64, blank=True, default="", db_default="")  # of an erased brief, SHA-256

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="execution_status_known",
                condition=Q(status__in=["pending", "running", "waiting", "completed", "failed", "cancelled"]),
            ),
            models.CheckConstraint(
                name="execution_claimed_only_while_running",
                condition=Q(claimed_by__isnull=True) | Q(status="running"),
            ),
        ]
        # No index contains a column that changes with every step: PostgreSQL could not make heap-only updates then, and
        # would update all indexes of the row each time (PostgreSQL manual, "Heap-Only Tuples"). The migration
        # 0018_file_indexes adds one of an expression: execution_files.
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="execution_newest"),  # selectors.lists, and the next ones
            models.Index(fields=["scope", "status", "created_at", "id"], name="execution_in_scope"),
            models.Index(fields=["scope", "status", "created_at", "id"], name="execution_dry_in_scope", condition=_DRY),
            models.Index(fields=["status", "created_at", "id"], name="execution_of_status", condition=_REAL),
            models.Index(fields=["status", "created_at", "id"], name="execution_dry_of_status", condition=_DRY),
            models.Index(  # selectors.costs, too: the newest executions
                fields=["workflow_id", "status", "created_at", "id"],
                include=["scope"],
                name="execution_workflow_status",
                condition=_REAL,
            ),
            models.Index(
                fields=["workflow_id", "status", "created_at", "id"], name="execution_dry_of_workflow", condition=_DRY
            ),
            *map(_index_of_waits, ("clarification", "acceptance", "budget", "rate_limit")),
            models.Index(  # selectors.costs: counts
                fields=["workflow_id", "scope", "status"], name="execution_outcome", condition=_REAL
            ),
            models.Index(  # recovery
                fields=["id"], name="execution_open", condition=Q(status__in=["pending", "running"])
            ),
            models.Index(fields=["id"], name="execution_waiting", condition=Q(status="waiting")),  # open clarifications
            models.Index(fields=["resume_at"], name="execution_resume", condition=Q(resume_at__isnull=False)),
            models.Index(fields=["deadline_at"], name="execution_deadline", condition=Q(deadline_at__isnull=False)),
            models.Index(
                fields=["finished_at", "id"],
                name="execution_to_prune",
                condition=Q(finished_at__isnull=False, pruned=False),
            ),  # retention
            models.Index(fields=["id"], name="execution_erasing", condition=~Q(erasing="")),  # persistence.erasure
            models.Index(  # persistence.erasure: the retention of a scope
                fields=["scope", "finished_at"],
                name="execution_kept_in_scope",
                condition=Q(finished_at__isnull=False, erased_at__isnull=True),
            ),
            models.Index(  # persistence.erasure: the retention of a workflow
                fields=["workflow_version", "finished_at"],
                name="execution_kept_of_version",
                condition=Q(finished_at__isnull=False, erased_at__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.workflow_id} {self.id}"


class ExecutionTag(models.Model):
    """A tag of an execution, for lists in the order of time. Triggers write it with the execution."""

    pk = models.CompositePrimaryKey("tag", "created_at", "execution_id")
    tag = models.TextField()
    created_at = models.DateTimeField()  # of the execution
    execution_id = models.UUIDField()

    def __str__(self) -> str:
        return f"{self.tag} {self.execution_id}"


class ExecutionStep(models.Model):
    """One step of an execution, written in the transaction that writes the execution."""

    execution = models.ForeignKey(
        Execution, on_delete=models.CASCADE, related_name="steps", db_index=False
    )  # step_once_per_execution begins with it
    step_id = models.CharField(max_length=200)
    scope = models.ForeignKey(
        "access.Scope", null=True, on_delete=models.PROTECT, related_name="+"
    )  # scope of its item; NULL: the execution's scope
    label = models.CharField(max_length=200, blank=True)  # label of its item
    item_order = models.PositiveBigIntegerField(default=0)  # of its item among the others
    optional = models.BooleanField(default=False)  # the execution goes on without it
    position = models.PositiveIntegerField()  # index in the definition, from 0
    level = models.PositiveIntegerField()  # depth in the step graph, from 0
    name = models.CharField(max_length=80)
    role = models.CharField(max_length=80)
    produces = models.CharField(max_length=63)
    depends_on = models.JSONField(default=list)
    status = models.CharField(max_length=20, choices={each.value: each.name.title() for each in StepStatus})
    version = models.PositiveIntegerField(default=1)
    attempt = models.PositiveIntegerField(default=0)
    invalid_outputs = models.PositiveIntegerField(default=0)
    input_versions = models.JSONField(default=list)
    rounds = models.JSONField(default=list)  # clarification rounds: questions and answers
    asked_at = models.DateTimeField(null=True)  # when its open questions were asked; NULL: no open questions
    decisions = models.JSONField(default=list)  # decisions about versions of its document
    wait = models.JSONField(null=True)  # for people: assignees, approvers, votes, due date; NULL: it does not wait
    violations = models.JSONField(default=list)  # of the newest output, if it was invalid
    base_version = models.PositiveIntegerField(null=True)  # of its document's head when it started; NULL: not started
    document_id = models.UUIDField(null=True)  # NULL until its document is stored
    document_version = models.PositiveIntegerField(null=True)
    failure_code = models.CharField(max_length=40, blank=True)
    failure_message = models.TextField(blank=True)
    resume_at = models.DateTimeField(null=True)  # NULL: not deferred
    blocked_by_limit = models.CharField(max_length=20, blank=True, default="", db_default="")  # empty: not blocked
    required_usd = models.DecimalField(max_digits=20, decimal_places=10, null=True)  # its next call, at most
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["execution", "step_id"], name="step_once_per_execution"),
            models.CheckConstraint(
                name="step_status_known",
                condition=Q(
                    status__in=[
                        "pending",
                        "running",
                        "waiting",
                        "remediating",
                        "completed",
                        "failed",
                        "cancelled",
                        "skipped",
                    ]
                ),
            ),
        ]
        indexes = [
            models.Index(
                fields=["execution"], name="step_blocked_by_month", condition=Q(blocked_by_limit="scope_month")
            ),  # selectors.waiting_for_scopes
            models.Index(  # selectors: open clarifications
                fields=["asked_at", "id"], name="step_asking", condition=Q(asked_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return self.step_id


class InboxEntry(models.Model):
    """Something that people can do about an execution, written in the statement that changes the execution.

    The columns repeat what lists select by, so that a page costs the same whatever waits.
    """

    id = models.UUIDField(primary_key=True, editable=False)  # of this wait; the next wait of the step has another one
    execution = models.ForeignKey(
        Execution, on_delete=models.CASCADE, related_name="+", db_index=False
    )  # inbox_once_per_wait begins with it
    step_id = models.CharField(max_length=200, blank=True)  # empty: the whole execution
    kind = models.CharField(max_length=20, choices={each.value: each.name.title() for each in InboxKind})
    root_id = models.UUIDField()  # the execution's scope
    workflow_id = models.CharField(max_length=63)
    dry_run = models.BooleanField()
    since = models.DateTimeField()
    due_at = models.DateTimeField(null=True)  # NULL: no due date
    assignees = models.JSONField(default=list)  # user names; empty: all users with the role
    only_assignees = models.BooleanField(default=False)  # other users cannot act
    excluded = models.JSONField(default=list)  # ids or names of users who cannot vote, or have voted

    #: Votes that accept the document; NULL: one reviewer is enough. With fewer users who can vote, operators see it.
    required_votes = models.PositiveIntegerField(null=True)
    barred = models.JSONField(default=list, db_default=[])  # ids or names of users who cannot vote: four eyes

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["execution", "kind", "step_id"], name="inbox_once_per_wait"),
        ]
        indexes = [
            models.Index(fields=["since", "id"], name="inbox_oldest"),  # pages of staff
            models.Index(fields=["kind", "since", "id"], name="inbox_oldest_of_kind"),  # counts and pages of one kind
            models.Index(fields=["root_id", "kind", "since", "id"], name="inbox_of_root"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.execution_id} {self.step_id}"


class ExecutionEvent(models.Model):
    """One event of an execution's log, numbered 1, 2, 3 … without gaps in the log and in its scope's feed.

    An event without an execution is in the feed alone. Events never change. Pruned logs keep their last event.
    """

    execution = models.ForeignKey(
        Execution, null=True, on_delete=models.CASCADE, related_name="events", db_index=False
    )  # event_once_per_sequence begins with it
    sequence = models.PositiveIntegerField()  # 0: in no log
    scope_id = models.UUIDField()  # the execution's scope; a foreign key would be checked for every event
    scope_sequence = models.PositiveBigIntegerField()
    event_type = models.CharField(max_length=40)
    step_id = models.CharField(max_length=200, null=True)
    data = JsonTextField(default=dict)
    timestamp = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["execution", "sequence"], name="event_once_per_sequence"),
            models.UniqueConstraint(fields=["scope_id", "scope_sequence"], name="event_once_per_scope_sequence"),
            models.CheckConstraint(
                name="event_sequence_with_execution",
                condition=Q(execution__isnull=True, sequence=0) | Q(execution__isnull=False, sequence__gt=0),
            ),
        ]
        indexes = [
            models.Index(  # retention of events in feeds alone
                fields=["timestamp"], name="event_of_feed", condition=Q(execution__isnull=True)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.sequence} {self.event_type}"


class Feed(models.Model):
    """Per-scope event counter. Lock order: always last."""

    scope = models.OneToOneField("access.Scope", primary_key=True, on_delete=models.CASCADE, related_name="+")
    last = models.PositiveBigIntegerField()  # number of the newest event

    def __str__(self) -> str:
        return f"{self.scope_id} {self.last}"


class ScopeRetention(models.Model):
    """How long a root scope keeps the executions in it. `version` is the optimistic lock."""

    scope = models.OneToOneField("access.Scope", primary_key=True, on_delete=models.CASCADE, related_name="+")
    days = models.PositiveIntegerField(null=True)  # after the end of an execution; NULL: the setting was removed
    version = models.PositiveIntegerField(default=1)

    class Meta:
        constraints = [models.CheckConstraint(name="scope_retention_is_positive", condition=Q(days__gt=0))]

    def __str__(self) -> str:
        return f"{self.scope_id} {self.days}"


class StepDraft(models.Model):
    """A chunk of the text that a model writes in one call, in an unlogged table. No other data depends on it."""

    execution_id = models.UUIDField()
    step_id = models.CharField(max_length=200)
    attempt = models.PositiveIntegerField()
    ordinal = models.PositiveIntegerField()  # number of the try; a later try starts from the beginning
    offset = models.PositiveIntegerField()  # characters before this chunk
    text = models.TextField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["execution_id", "step_id", "attempt", "ordinal", "offset"], name="draft_once_per_offset"
            )
        ]

    def __str__(self) -> str:
        return f"{self.step_id} from {self.offset}"


class WorkerHeartbeat(models.Model):
    """A worker process and its heartbeat. If the heartbeat stops, other workers recover its executions."""

    name = models.CharField(primary_key=True, max_length=100)
    started_at = models.DateTimeField()
    heartbeat_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name
