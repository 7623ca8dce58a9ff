"""Parsing and full validation of definitions."""

from __future__ import annotations

from pydantic import ValidationError

from workflows.definitions.definition import WorkflowDefinition
from workflows.definitions.for_each_checks import limit_errors
from workflows.definitions.schema_checks import schema_limit_errors, schema_meaning_errors
from workflows.definitions.shape_errors import follows, shape_errors
from workflows.definitions.template_checks import template_errors
from workflows.definitions.validation import reference_errors
from workflows.errors import DefinitionError, bound_errors, character_errors


def parse_definition(source: object) -> WorkflowDefinition:
    """Parse plain data (from JSON or YAML) into a valid definition.

    Raises:
        DefinitionError: it lists all errors. References are checked only if the structure is valid.
    """
    if errors := list(bound_errors(source)) or list(character_errors(source)):
        raise DefinitionError(errors)
    try:
        definition = WorkflowDefinition.model_validate(source)
    except ValidationError as error:
        found = [field_error for each in error.errors() for field_error in shape_errors(dict(each), source)]
        found = list(dict.fromkeys(found))
        raise DefinitionError([field_error for field_error in found if not follows(field_error, found)]) from error
    if errors := [*limit_errors(definition), *schema_limit_errors(definition)]:
        raise DefinitionError(errors)  # such schemas are too expensive for all further checks
    # These errors name the fix; for the same places the dialect's errors would only say that they are invalid.
    foreign = list(schema_meaning_errors(definition))
    reported = {field_error.pointer for field_error in foreign}
    others = (
        each for each in reference_errors(definition) if each.code != "invalid_schema" or each.pointer not in reported
    )
    if errors := [*foreign, *others, *template_errors(definition)]:
        raise DefinitionError(errors)
    return definition
