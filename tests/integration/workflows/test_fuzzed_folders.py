"""Any folder is a workflow or has errors: reading it never raises, and never takes long.

FUZZ_SECONDS lengthens the search.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.factories.workflows import plan, step
from tests.integration.workflows.test_definition import ITEMS, over
from tests.support.fuzzing import share_of_30
from workflows.definitions.definition import DefinitionError, WorkflowDefinition
from workflows.loader import load_catalog, load_folder

SECONDS = share_of_30(4)
LONGEST_SECONDS = 2  # of this thread's time, for one folder
EXAMPLES = max(int(SECONDS * 12), 1)
fuzzed = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))

KEYWORDS = [
    "type",
    "enum",
    "const",
    "anyOf",
    "allOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "$ref",
    "$dynamicRef",
    "$anchor",
    "$defs",
    "$id",
    "$schema",
    "$dynamicAnchor",
    "definitions",
    "properties",
    "patternProperties",
    "items",
    "pattern",
    "additionalProperties",
    "required",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "format",
    "exclusiveMinimum",
    "prefixItems",
    "contains",
    "minItems",
    "maxItems",
    "dependentSchemas",
    "dependencies",
    "unevaluatedProperties",
    "nullable",
    "discriminator",
    "default",
    "title",
    "description",
    "propertyNames",
    "multipleOf",
    "minContains",
]
TEXTS = [
    r"string",
    r"object",
    r"array",
    r"integer",
    r"null",
    r"title",
    r"x",
    r"#",
    r"#/$defs/x",
    r"#/properties/x",
    r"#x",
    r"#/items",
    r"https://a.example/b",
    r"x#/y",
    r"//[",
    r"%ff",
    r"urn:x",
    r"(a+)+$",
    r"[",
    r"\p{L}{200}",
    r"(?=x)",
    r"a{1000}{1000}",
    r"{{",
    r"é",
    r"https://json-schema.org/draft/2020-12/schema",
    r"http://json-schema.org/draft-07/schema#",
]
WORDS = st.sampled_from([*TEXTS, "", "\0"])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 12),
    st.sampled_from([10**400, -(10**30), 1e308, -0.0, 0.1, float("nan")]),
    WORDS,
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYWORDS) | WORDS, inner, max_size=5),
    max_leaves=30,
)
PIECES = [*"ab:-[]{}?&*!|>'\"#%@,\n\t .0~<=", "\n  ", "&a ", "*a", "<<: ", "{file: ", "$ref"]
NOISE = st.lists(st.sampled_from(PIECES), max_size=40).map("".join) | st.builds(
    str.__mul__,
    st.sampled_from(["[", "- ", '{"a": ', "&a [*a]", "9", "? ", "a: &a {b: *a}"]),
    st.sampled_from([1, 70, 3000]),
)
VALID: list[Any] = [
    plan(),
    plan(steps=[step(1, output_schema=ITEMS), step(2, for_each=over(1), inputs=["paper-1"], review={"rubric": "R"})]),
]


def places(value: Any, *path: str | int) -> list[tuple[str | int, ...]]:
    """Return the way to each value."""
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for name, inner in below for place in places(inner, *path, name))]


def mutated(source: Any, place: tuple[str | int, ...], value: Any) -> Any:
    """Return a copy with another value at a place."""
    if not place:
        return value
    copy: Any = dict(source) if isinstance(source, dict) else list(source)
    copy[place[0]] = mutated(copy[place[0]], place[1:], value)
    return copy


@st.composite
def definitions(draw: st.DrawFn) -> Any:
    """Valid definitions with some values exchanged."""
    source = draw(st.sampled_from(VALID))
    for _ in range(draw(st.integers(1, 3))):
        source = mutated(source, draw(st.sampled_from(places(source))), draw(VALUES))
    return source


def read(files: dict[str, bytes]) -> None:
    """Read a folder with these files, alone and in a catalog."""
    with tempfile.TemporaryDirectory() as catalog:
        folder = Path(catalog) / "note"
        folder.mkdir()
        for name, data in files.items():
            (folder / name).write_bytes(data)
        before = time.thread_time()
        try:
            found = load_folder(folder)
        except DefinitionError as error:
            assert error.errors
            assert len(load_catalog(Path(catalog)).errors) == 1
        else:
            assert WorkflowDefinition.model_validate(found.model_dump(mode="json")) == found
        assert time.thread_time() - before < 2 * LONGEST_SECONDS  # it was read twice


@fuzzed
@given(definitions())
def test_a_mutated_definition_is_read_or_has_errors(source: Any) -> None:
    read({"workflow.yaml": json.dumps(source).encode()})


@fuzzed
@given(st.dictionaries(st.sampled_from(KEYWORDS), VALUES, max_size=8), st.dictionaries(WORDS, VALUES, max_size=4))
def test_any_schema_is_read_or_has_errors(said: dict[str, Any], named: dict[str, Any]) -> None:
    schema = {"type": "object", "required": ["title"], "properties": {"title": {"type": "string"}, **named}, **said}
    files = {"workflow.yaml": json.dumps(plan(steps=[step(output_schema={"file": "schema.json"})])).encode()}
    read({**files, "schema.json": json.dumps(schema).encode()})


@fuzzed
@given(NOISE, NOISE, st.integers(0, 400), st.binary(max_size=4))
def test_any_text_is_read_or_has_errors(noise: str, more: str, at: int, data: bytes) -> None:
    text = json.dumps(plan(), indent=1)
    for whole in (noise, f"{text[:at]}{noise}{text[at:]}", f"id: note\nsteps:\n  - {noise}\n{more}"):
        read({"workflow.yaml": whole.encode(), "schema.json": data})
    read({"workflow.yaml": text.encode()[:at] + data + text.encode()[at:]})
