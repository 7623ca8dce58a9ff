"""Parsing and full validation of definitions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice

from pydantic import ValidationError

from common.errors import FieldError
from workflows.definitions.definition import MAX_STEPS, WorkflowDefinition
from workflows.definitions.for_each_checks import limit_errors
from workflows.definitions.schema_checks import schema_limit_errors, schema_meaning_errors
from workflows.definitions.shape_errors import follows, shape_errors
from workflows.definitions.template_checks import template_errors
from workflows.definitions.validation import reference_errors
from workflows.errors import DefinitionError, bound_errors, character_errors

_MAX_ERRORS = 1_000  # of each kind
_MAX_LENGTHS = {"steps": MAX_STEPS, "roles": MAX_STEPS}


def parse_definition(source: object) -> WorkflowDefinition:
    """Parse plain data (from JSON or YAML) into a valid definition.

    Raises:
        DefinitionError: it lists all errors. References are checked only if the structure is valid.
    """
    if errors := _first(bound_errors(source)) or _first(character_errors(source)) or _first(_length_errors(source)):
        raise DefinitionError(errors)
    try:
        definition = WorkflowDefinition.model_validate(source)
    except ValidationError as error:
        told = error.errors(include_url=False, include_input=False)[:_MAX_ERRORS]
        found = _first(field_error for each in told for field_error in shape_errors(dict(each), source))
        found = list(dict.fromkeys(found))
        raise DefinitionError([field_error for field_error in found if not follows(field_error, found)]) from error
    if errors := _first(chain(limit_errors(definition), schema_limit_errors(definition))):
        raise DefinitionError(errors)  # such schemas are too expensive for all further checks
    # These errors name the fix; for the same places the dialect's errors would only say that they are invalid.
    foreign = _first(schema_meaning_errors(definition))
    reported = {field_error.pointer for field_error in foreign}
    others = (
        each for each in reference_errors(definition) if each.code != "invalid_schema" or each.pointer not in reported
    )
    if errors := [*foreign, *_first(others), *_first(template_errors(definition))]:
        raise DefinitionError(errors)
    return definition


def _first(errors: Iterable[FieldError]) -> list[FieldError]:
    return list(islice(errors, _MAX_ERRORS))


def _length_errors(source: object) -> Iterator[FieldError]:
    """Yield the lists that are too long, before each of their items is validated."""
    for name, maximum in _MAX_LENGTHS.items():
        value = source.get(name) if isinstance(source, dict) else None
        if isinstance(value, dict | list | tuple) and len(value) > maximum:
            detail = f"There are {len(value):,} {name}; a workflow has at most {maximum}."
            yield FieldError(pointer=f"/{name}", code="too_long", detail=detail)
