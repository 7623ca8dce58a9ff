"""JSON Schemas of documents: what they may be, and who validates by them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Any
from urllib.parse import quote

import jsonschema_rs
from pydantic import JsonValue

from common.limits import limits
from workflows.errors import Fault, pointer
from workflows.json_schema.dialects import DIALECTS, Dialect, UnknownDialect, dialect_of
from workflows.json_schema.subschemas import (
    Place,
    Undecided,
    UnresolvableReference,
    alternatives,
    base_of,
    everywhere,
    kinds_of,
    root_of,
)

JsonSchema = dict[str, JsonValue]

#: Patterns are compiled to this size at most, in bytes; `^\\p{L}{1,200}$` is about as large.
_LARGEST = 10 * 1024 * 1024
#: One that is larger, looks around or refers back may take far more time than a text is long.
_LARGEST_FOR_LONG_TEXTS = 256 * 1024
_LINEAR = jsonschema_rs.RegexOptions(size_limit=_LARGEST_FOR_LONG_TEXTS)
_BACKTRACKING = jsonschema_rs.FancyRegexOptions(size_limit=_LARGEST, backtrack_limit=20_000)
_MOST_WAYS = 64  # of being valid that are looked at


def validator_of(schema: JsonSchema) -> jsonschema_rs.Validator:
    """Return the validator of a document's schema, in its own dialect, formats included.

    References lead nowhere outside the schema. What a pattern costs is bounded.

    Raises:
        UnknownDialect: its `$schema` names none that is known.
        jsonschema_rs.ValidationError: it is no schema, or names another one.
    """
    return dialect_of(schema).validator(schema, retriever=_refuse_to_fetch, **_options(schema))


def _options(schema: JsonSchema) -> dict[str, Any]:
    costly = any(isinstance(each, str) and not is_linear(each) for each in _patterns(schema))
    keywords = {"pattern": _Pattern} if costly else None
    return {"validate_formats": True, "pattern_options": _BACKTRACKING, "keywords": keywords}


def _refuse_to_fetch(uri: str) -> JsonValue:
    raise LookupError(f"a schema may not refer to {uri}")


class PartValidators:
    """Validates values against parts of one schema."""

    def __init__(self, schema: JsonSchema) -> None:
        self._base = base_of(schema)
        self._dialect = dialect_of(schema)
        self._options = _options(schema)
        self._registry = jsonschema_rs.Registry([(self._base, schema)], retriever=_refuse_to_fetch)
        self._known: dict[str, jsonschema_rs.Validator] = {}

    def error(self, place: Place, value: JsonValue) -> jsonschema_rs.ValidationError | None:
        """Return one thing that is wrong with a value at a place of the schema, None when nothing is."""
        if place.schema is True or not place.is_own:
            return None
        return next(iter(self.validator(place.pointer, place.dialect).iter_errors(value)), None)

    def validator(self, pointer: str, dialect: Dialect | None = None) -> jsonschema_rs.Validator:
        """Return the validator of a part, in the dialect of the whole schema unless another one is given."""
        validator = self._known.get(pointer)
        if validator is None:
            part = {"$ref": f"{self._base}#{quote(pointer)}"}
            validator = (dialect or self._dialect).validator(part, registry=self._registry, **self._options)
            self._known[pointer] = validator
        return validator


class _Pattern:
    """The keyword `pattern` in schemas where it may cost much: a long text is not looked at."""

    def __init__(self, _parent: dict[str, Any], pattern: str, _path: list[str | int]) -> None:
        self._pattern = pattern

    def validate(self, instance: object) -> None:
        """Check one value.

        Raises:
            ValueError: it is a text that the pattern does not match, or that is too long for it.
        """
        if not isinstance(instance, str):
            return
        most = limits().pattern_characters
        if len(instance) > most and not is_linear(self._pattern):
            raise ValueError(f"A text for the pattern {self._pattern!r:.200} has at most {most} characters.")
        if not matches(self._pattern, instance):
            raise ValueError(f"{instance!r:.200} does not match {self._pattern!r:.200}")


def matches(pattern: str, text: str) -> bool:
    """Return whether a pattern of JSON Schema matches somewhere in a text."""
    return _validator_of_pattern(pattern).is_valid(text)


@lru_cache(maxsize=1_000)
def is_linear(pattern: str) -> bool:
    """Return whether matching takes time in proportion to the text.

    That is so without look-around and references back, when the pattern is not very large.
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
    """Yield what stands under `pattern` anywhere; some of it may be no pattern."""
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


def schema_faults(schema: JsonSchema, *where: str | int) -> Iterator[Fault]:
    """Yield what keeps a schema from being one; `where` leads to it."""
    try:
        dialect = dialect_of(schema)
    except UnknownDialect as error:
        yield _fault(pointer(*where, "$schema"), str(error))
        return
    found = [*_meta_faults(schema, dialect, *where)]  # before anything follows its names and references
    if not found:
        found += [fault for place in everywhere(root_of(schema)) for fault in _faults_of(place, pointer(*where))]
    if not found:
        try:
            validator_of(schema)
        except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
            found.append(_fault(pointer(*where), error.message.splitlines()[0][:300]))
    yield from found


def json_faults(value: object, *where: str | int) -> Iterator[Fault]:
    """Yield the values that JSON does not have, as YAML's dates, and names that are no texts."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if isinstance(name, str):
                yield from json_faults(inner, *where, name)
            else:
                yield _fault(pointer(*where, str(name)), f"The name {name!r:.100} is no text; put it between quotes.")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from json_faults(inner, *where, index)
    elif value is not None and not isinstance(value, str | int | float):
        detail = f"JSON has no {type(value).__name__}; a text between quotes is one."
        yield _fault(pointer(*where), detail)


def _fault(where: str, detail: str) -> Fault:
    return Fault(pointer=where, code="invalid_schema", detail=detail)


def _meta_faults(schema: JsonSchema, dialect: Dialect, *where: str | int) -> Iterator[Fault]:
    """Yield where a schema is not as its dialect says, each place once."""
    seen: set[str] = set()
    hint = _hint(schema)
    for error in _meta_validator(dialect.uri).iter_errors(schema):
        at = pointer(*where, *error.instance_path)
        if at not in seen:
            seen.add(at)
            yield _fault(at, f"{_said(error)}, says {dialect.name}.{hint}")


def _said(error: jsonschema_rs.ValidationError) -> str:
    if error.kind.name == "anyOf" and error.instance_path:
        return f"This is nothing that `{error.instance_path[-1]}` may be"
    return error.message[:200]


def _hint(schema: JsonSchema) -> str:
    """Return a word on older dialects, for a schema that names none and is right in one of them."""
    if "$schema" not in schema:
        for dialect in reversed(DIALECTS):
            if _meta_validator(dialect.uri).is_valid(schema):
                return f" It is right in {dialect.name}: name that with `$schema`, as {dialect.uri!r}."
    return ""


@lru_cache
def _meta_validator(uri: str) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for({"$schema": uri, "$ref": uri}, validate_formats=True, mask="This")


def _faults_of(place: Place, before: str) -> Iterator[Fault]:
    """Yield what is wrong with one subschema: references that lead nowhere, patterns that cannot be had."""
    try:
        place.referred()
    except UnresolvableReference as error:
        yield _fault(before + error.pointer, str(error))
    pattern = place.get("pattern")
    if isinstance(pattern, str) and not is_pattern(pattern):
        yield _fault(f"{before}{place.pointer}/pattern", "This pattern is too large.")
    for name in place.names("patternProperties"):
        if not is_linear(name):
            detail = "A pattern for names has no look-around and no reference back, and is not large."
            yield _fault(before + place.pointer + pointer("patternProperties", name), detail)


def is_pattern(pattern: str) -> bool:
    """Return whether a text is a pattern that can be matched here."""
    try:
        _validator_of_pattern(pattern)
    except jsonschema_rs.ValidationError:
        return False
    return True


def has_title(schema: JsonSchema) -> bool:
    """Return whether every document is an object with a string `title`; the root says so with `type` and `required`.

    What a reference, `allOf` or each of `anyOf` says of the title counts.
    """
    try:
        ways = list(islice(alternatives([root_of(schema)]), _MOST_WAYS + 1))
        if schema.get("type") != "object" or len(ways) > _MOST_WAYS:
            return False
        return all(_is_titled(way) for way in ways)
    except Undecided:
        return False


def _is_titled(way: tuple[Place, ...]) -> bool:
    required = any("title" in place.get("required", ()) for place in way)
    said = [title for place in way if (title := place.called("properties", "title")) is not None]
    kinds = [kinds_of(each) for each in islice(alternatives(said), _MOST_WAYS)] if said else []
    return required and bool(kinds) and all(each == {"string"} for each in kinds)
