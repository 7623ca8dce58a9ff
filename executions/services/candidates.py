"""Candidates: definitions that authors try in dry runs before they publish them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from access.selectors import require_author
from access.user import User
from common.errors import FieldError, Invalid
from executions.engine.domain.dry_run import DryRunScript
from executions.services.preflight import ResolvedWorkflow
from workflows import repository as workflows
from workflows.definitions.definition import DefinitionError, WorkflowDefinition
from workflows.definitions.parser import parse_definition
from workflows.exchange.uploads import Form, read_upload

_FIELD = "/definition"


def read_candidate(user: User, source: str | Mapping[str, Any]) -> WorkflowDefinition:
    """Return the definition in a start request: an object, or a text of YAML.

    Raises:
        AuthorRequired: the user is no author.
        DefinitionError: it is not valid; with pointers that begin with `/definition`.
    """
    require_author(user)
    try:
        if isinstance(source, str):
            return read_upload(source.encode(), Form.YAML).definition
        return parse_definition(source)
    except DefinitionError as error:
        raise DefinitionError(
            [each.model_copy(update={"pointer": _FIELD + each.pointer}) for each in error.errors]
        ) from error


def try_candidate(
    user: User, definition: WorkflowDefinition, *, script: DryRunScript | None, now: datetime
) -> ResolvedWorkflow:
    """Store a definition that is not published, and return it for a dry run.

    Raises:
        AuthorRequired: the user is no author.
        Invalid: there is no script, so this is no dry run.
        DefinitionError: the definition names a house file that is not stored.
    """
    require_author(user)
    if script is None:
        detail = "A definition that is not published can only be tried: set dry_run, too."
        raise Invalid(detail, [FieldError(pointer=_FIELD, code="dry_run_only", detail=detail)])
    version, row_id = workflows.store_candidate(definition, now=now)
    return ResolvedWorkflow(definition=definition, version=version, row_id=row_id)
