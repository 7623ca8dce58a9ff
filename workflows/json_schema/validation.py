"""Validation of output schemas, and validators of documents."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Any
from urllib.parse import quote

import jsonschema_rs
from pydantic import JsonValue

from common.errors import FieldError
from common.json_pointer import pointer
from common.limits import limits
from workflows.json_schema.dialects import DIALECTS, Dialect, UnknownDialect, dialect_of
from workflows.json_schema.subschemas import (
    Subschema,
    TooManyAlternatives,
    UnresolvableReference,
    alternatives,
    base_of,
    everywhere,
    kinds_of,
    root_of,
)

JsonSchema = dict[str, JsonValue]

#: Max size of a compiled pattern, in bytes; `^\\p{L}{1,200}$` is about as large.
_MAX_COMPILED_SIZE = 10 * 1024 * 1024
#: Larger patterns, lookarounds and backreferences may take more than linear time.
_MAX_LINEAR_SIZE = 256 * 1024
_LINEAR = jsonschema_rs.RegexOptions(size_limit=_MAX_LINEAR_SIZE)
_BACKTRACKING = jsonschema_rs.FancyRegexOptions(size_limit=_MAX_COMPILED_SIZE, backtrack_limit=20_000)
_MAX_ALTERNATIVES = 64


def validator_of(schema: JsonSchema) -> jsonschema_rs.Validator:
    """Return the validator of a schema, in the schema's dialect, with formats.

    References to other schemas are rejected. The cost of patterns is limited.

    Raises:
        UnknownDialect: `$schema` names an unsupported dialect.
        jsonschema_rs.ValidationError: the schema is invalid, or refers to another schema.
    """
    return dialect_of(schema).validator(schema, retriever=_reject_reference, **_options(schema))


def _options(schema: JsonSchema) -> dict[str, Any]:
    has_costly_patterns = any(isinstance(each, str) and not is_linear(each) for each in _patterns(schema))
    keywords = {"pattern": _Pattern} if has_costly_patterns else None
    return {"validate_formats": True, "pattern_options": _BACKTRACKING, "keywords": keywords}


def _reject_reference(uri: str) -> JsonValue:
    raise LookupError(f"a schema may not refer to {uri}")


class PartValidators:
    """Validators of the subschemas of one schema."""

    def __init__(self, schema: JsonSchema) -> None:
        self._base = base_of(schema)
        self._dialect = dialect_of(schema)
        self._options = _options(schema)
        self._registry = jsonschema_rs.Registry([(self._base, schema)], retriever=_reject_reference)
        self._validators: dict[str, jsonschema_rs.Validator] = {}

    def error(self, subschema: Subschema, value: JsonValue) -> jsonschema_rs.ValidationError | None:
        """Return one error of a value by a subschema; None if the value is valid."""
        if subschema.schema is True or not subschema.is_own:
            return None
        return next(iter(self.validator(subschema.pointer, subschema.dialect).iter_errors(value)), None)

    def validator(self, pointer: str, dialect: Dialect | None = None) -> jsonschema_rs.Validator:
        """Return the validator of a subschema; its default dialect is that of the whole schema."""
        validator = self._validators.get(pointer)
        if validator is None:
            part = {"$ref": f"{self._base}#{quote(pointer)}"}
            validator = (dialect or self._dialect).validator(part, registry=self._registry, **self._options)
            self._validators[pointer] = validator
        return validator


class _Pattern:
    """The keyword `pattern` for schemas with costly patterns: it rejects long texts."""

    def __init__(self, _parent: dict[str, Any], pattern: str, _path: list[str | int]) -> None:
        self._pattern = pattern

    def validate(self, instance: object) -> None:
        """Check one value.

        Raises:
            ValueError: the value is a text that does not match, or that is too long for the pattern.
        """
        if not isinstance(instance, str):
            return
        maximum = limits().pattern_characters
        if len(instance) > maximum and not is_linear(self._pattern):
            raise ValueError(f"A text for the pattern {self._pattern!r:.200} may have at most {maximum} characters.")
        if not matches(self._pattern, instance):
            raise ValueError(f"{instance!r:.200} does not match {self._pattern!r:.200}")


def matches(pattern: str, text: str) -> bool:
    """Return whether a pattern of JSON Schema matches anywhere in a text."""
    return _validator_of_pattern(pattern).is_valid(text)


@lru_cache(maxsize=1_000)
def is_linear(pattern: str) -> bool:
    """Return whether matching takes linear time.

    This holds for patterns without lookarounds and backreferences that are not very large.
    """
    try:
        jsonschema_rs.Draft202012Validator({"pattern": pattern}, pattern_options=_LINEAR)
    except jsonschema_rs.ValidationError:
        return False
    return True


@lru_cache(maxsize=200)
def _validator_of_pattern(pattern: str) -> jsonschema_rs.Validator:
    options = _LINEAR if is_linear(pattern) else _BACKTRACKING
    return jsonschema_rs.Draft202012Validator({"pattern": pattern}, pattern_options=options)


def _patterns(schema: object) -> Iterator[object]:
    """Yield all values of the name `pattern`, which may include values that are not patterns."""
    level = [schema]
    while level:
        following: list[object] = []
        for value in level:
            if isinstance(value, dict):
                if "pattern" in value:
                    yield value["pattern"]
                following += value.values()
            elif isinstance(value, list):
                following += value
        level = following


def schema_errors(schema: JsonSchema, *where: str | int) -> Iterator[FieldError]:
    """Yield the errors of a schema; `where` is its path."""
    try:
        dialect = dialect_of(schema)
    except UnknownDialect as error:
        yield _field_error(pointer(*where, "$schema"), str(error))
        return
    found = [*_meta_errors(schema, dialect, *where)]  # first, because the other checks rely on a valid structure
    if not found:
        found += [
            field_error
            for subschema in everywhere(root_of(schema))
            for field_error in _faults_of(subschema, pointer(*where))
        ]
    if not found:
        try:
            validator_of(schema)
        except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
            found.append(_field_error(pointer(*where), error.message.splitlines()[0][:300]))
    yield from found


def json_errors(value: object, *where: str | int) -> Iterator[FieldError]:
    """Yield values that JSON does not have, such as dates of YAML, and names that are not texts."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if isinstance(name, str):
                yield from json_errors(inner, *where, name)
            else:
                yield _field_error(pointer(*where, str(name)), f"The name {name!r:.100} is not a text; quote it.")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from json_errors(inner, *where, index)
    elif value is not None and not isinstance(value, str | int | float):
        detail = f"JSON has no type {type(value).__name__}; quote the value to make it a text."
        yield _field_error(pointer(*where), detail)


def _field_error(where: str, detail: str) -> FieldError:
    return FieldError(pointer=where, code="invalid_schema", detail=detail)


def _meta_errors(schema: JsonSchema, dialect: Dialect, *where: str | int) -> Iterator[FieldError]:
    """Yield violations of the dialect's meta-schema, one for each subschema."""
    seen: set[str] = set()
    hint = _hint(schema)
    for error in _meta_validator(dialect.uri).iter_errors(schema):
        at = pointer(*where, *error.instance_path)
        if at not in seen:
            seen.add(at)
            yield _field_error(at, f"{_message(error)} ({dialect.name}).{hint}")


def _message(error: jsonschema_rs.ValidationError) -> str:
    if error.kind.name == "anyOf" and error.instance_path:
        return f"Invalid value for `{error.instance_path[-1]}`"
    return error.message[:200]


def _hint(schema: JsonSchema) -> str:
    """Return a hint for a schema without `$schema` that is valid in an older dialect."""
    if "$schema" not in schema:
        for dialect in reversed(DIALECTS):
            if _meta_validator(dialect.uri).is_valid(schema):
                return f" It is valid in {dialect.name}: add `$schema: {dialect.uri!r}`."
    return ""


@lru_cache
def _meta_validator(uri: str) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for({"$schema": uri, "$ref": uri}, validate_formats=True, mask="This")


def _faults_of(subschema: Subschema, prefix: str) -> Iterator[FieldError]:
    """Yield the errors of one subschema: unresolvable references, and unsupported patterns."""
    try:
        subschema.referred()
    except UnresolvableReference as error:
        yield _field_error(prefix + error.pointer, str(error))
    pattern = subschema.get("pattern")
    if isinstance(pattern, str) and not is_pattern(pattern):
        yield _field_error(f"{prefix}{subschema.pointer}/pattern", "This pattern is too large.")
    for name in subschema.names("patternProperties"):
        if not is_linear(name):
            detail = "A pattern for names must be small, without lookarounds and backreferences."
            yield _field_error(prefix + subschema.pointer + pointer("patternProperties", name), detail)


@lru_cache(maxsize=1_000)
def is_pattern(pattern: str) -> bool:
    """Return whether a text is a supported pattern."""
    try:
        _validator_of_pattern(pattern)
    except jsonschema_rs.ValidationError:
        return False
    return True


def has_title(schema: JsonSchema) -> bool:
    """Return whether every document is an object with a required string `title`.

    The root must have `type: object`. References, `allOf` and each alternative of `anyOf` may declare the title.
    """
    try:
        expanded = list(islice(alternatives([root_of(schema)]), _MAX_ALTERNATIVES + 1))
        if schema.get("type") != "object" or len(expanded) > _MAX_ALTERNATIVES:
            return False
        return all(_is_titled(each) for each in expanded)
    except TooManyAlternatives:
        return False


def _is_titled(alternative: tuple[Subschema, ...]) -> bool:
    required = any("title" in subschema.get("required", ()) for subschema in alternative)
    titles = [title for subschema in alternative if (title := subschema.called("properties", "title")) is not None]
    kinds = [kinds_of(each) for each in islice(alternatives(titles), _MAX_ALTERNATIVES)] if titles else []
    return required and bool(kinds) and all(each == {"string"} for each in kinds)
