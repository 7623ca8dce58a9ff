"""The one service that publishes workflows. The API and `load_catalog` call it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string

from access.audit import Act, record
from access.selectors import require_author
from access.user import User
from common.errors import FieldError, Invalid, NotFound
from workflows import repository, selectors
from workflows.definitions.definition import WorkflowDefinition
from workflows.repository import NoSuchVersion, NoSuchWorkflow, Publication


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """The result of a publication."""

    version: int
    outcome: Publication
    previous_version: int | None  # the current one before; None: the workflow is new
    retired_at: datetime | None


def publish(
    definition: WorkflowDefinition,
    *,
    by: User | None,
    now: datetime,
    house: bytes | None = None,
    expected_versions: Collection[int] | None = None,
) -> Published:
    """Publish a valid definition, and make it the current version.

    Args:
        definition: The definition.
        by: The author; None: a command on the server.
        now: The time of publication.
        house: The file that `definition.house` names, checked; None: there is none, or it is stored.
        expected_versions: The versions of which one has to be the current one; None: any.

    Raises:
        AuthorRequired: the user is no author.
        DefinitionError: the definition names a house file that is not stored.
        PreconditionFailed: the current version is not in `expected_versions`.
    """
    if by is not None:
        require_author(by)
    with transaction.atomic():
        before = repository.lock(definition, now=now)
        version, outcome = repository.publish(
            definition, now=now, by=by, house=house, expected_versions=expected_versions
        )
        if outcome is not Publication.UNCHANGED:
            record(Act.WORKFLOW_PUBLISH, "workflow", definition.id, version=version)
    return Published(
        version=version,
        outcome=outcome,
        previous_version=before.version or None,
        retired_at=before.retired_at,
    )


def preview(definition: WorkflowDefinition) -> tuple[int, Publication]:
    """Return which version `publish` would make the current one, and the outcome, as things stand now."""
    return repository.preview(definition)


def require_house(definition: WorkflowDefinition, house: bytes | None) -> None:
    """Check that the house file of a definition came with it, or is stored.

    Raises:
        DefinitionError: the definition names another file.
    """
    repository.require_house(definition, house)


def advice(definition: WorkflowDefinition) -> list[FieldError]:
    """Return advice for the author of a valid definition."""
    return list(import_string(settings.WORKFLOW_ADVICE)(definition))


def make_current(
    workflow_id: str, version: int, *, by: User, now: datetime, expected_versions: Collection[int] | None = None
) -> None:
    """Make a published version the current one. Repeating it changes nothing.

    Raises:
        AuthorRequired: the user is no author.
        NotFound: there is no such workflow.
        Invalid: it has no such version; with a pointer to `/version`.
        PreconditionFailed: the current version is not in `expected_versions`.
    """
    require_author(by)
    try:
        with transaction.atomic():
            if repository.switch(workflow_id, version, now=now, expected_versions=expected_versions):
                record(Act.WORKFLOW_MAKE_CURRENT, "workflow", workflow_id, version=version)
    except NoSuchWorkflow as error:
        raise NotFound(selectors.no_workflow(workflow_id)) from error
    except NoSuchVersion as error:
        detail = selectors.no_version(workflow_id, version)
        raise Invalid(detail, [FieldError(pointer="/version", code="unknown_version", detail=detail)]) from error


def retire(workflow_id: str, *, by: User, now: datetime, expected_versions: Collection[int] | None = None) -> None:
    """Retire a workflow: its executions go on, and new ones do not start. Repeating it changes nothing.

    Raises:
        AuthorRequired: the user is no author.
        NotFound: there is no such workflow.
        PreconditionFailed: the current version is not in `expected_versions`.
    """
    _set_retired(workflow_id, now, by=by, expected_versions=expected_versions)


def restore(workflow_id: str, *, by: User, expected_versions: Collection[int] | None = None) -> None:
    """Bring a retired workflow back. Repeating it changes nothing.

    Raises:
        AuthorRequired: the user is no author.
        NotFound: there is no such workflow.
        PreconditionFailed: the current version is not in `expected_versions`.
    """
    _set_retired(workflow_id, None, by=by, expected_versions=expected_versions)


def _set_retired(workflow_id: str, at: datetime | None, *, by: User, expected_versions: Collection[int] | None) -> None:
    require_author(by)
    try:
        with transaction.atomic():
            if repository.set_retired(workflow_id, at=at, expected_versions=expected_versions):
                record(Act.WORKFLOW_RESTORE if at is None else Act.WORKFLOW_RETIRE, "workflow", workflow_id)
    except NoSuchWorkflow as error:
        raise NotFound(selectors.no_workflow(workflow_id)) from error
