"""Parsing definitions: plain data in, a definition with every reference checked out."""

from __future__ import annotations

from pydantic import ValidationError

from workflows.definitions.definition import WorkflowDefinition
from workflows.definitions.for_each_checks import limit_faults
from workflows.definitions.schema_checks import schema_limit_faults, schema_meaning_faults
from workflows.definitions.shape_errors import follows, shape_faults
from workflows.definitions.validation import reference_faults
from workflows.errors import DefinitionError, bound_faults, character_faults


def parse_definition(source: object) -> WorkflowDefinition:
    """Parse plain data (as read from JSON or YAML) into a definition that can be run.

    Raises:
        DefinitionError: with every fault found; references are checked once the shape is right.
    """
    if faults := list(bound_faults(source)) or list(character_faults(source)):
        raise DefinitionError(faults)
    try:
        definition = WorkflowDefinition.model_validate(source)
    except ValidationError as error:
        found = [fault for each in error.errors() for fault in shape_faults(dict(each), source)]
        found = list(dict.fromkeys(found))
        raise DefinitionError([fault for fault in found if not follows(fault, found)]) from error
    if faults := [*limit_faults(definition), *schema_limit_faults(definition)]:
        raise DefinitionError(faults)  # nothing else may look at such schemas
    foreign = list(schema_meaning_faults(definition))  # they say what to write; the dialect says only that it is wrong
    named = {fault.pointer for fault in foreign}
    others = (
        each for each in reference_faults(definition) if each.code != "invalid_schema" or each.pointer not in named
    )
    if faults := [*foreign, *others]:
        raise DefinitionError(faults)
    return definition
