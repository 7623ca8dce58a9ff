"""The OpenAPI document has names, descriptions, examples and value constraints for people and generators."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from django.test import Client

from orchestrator.openapi.fields import field_texts, fields_of
from orchestrator.openapi.page import HARMLESS

Json = dict[str, Any]


@pytest.fixture(scope="module")
def document() -> Json:
    found: Json = Client().get("/api/v1/openapi.json").json()
    return found


def operations(document: Json) -> Iterator[tuple[str, Json]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {path}", operation


def parameters(document: Json) -> Iterator[tuple[str, Json]]:
    for name, operation in operations(document):
        for parameter in operation.get("parameters", []):
            yield f"{name} {parameter['in']} {parameter['name']}", parameter


def bodies(operation: Json) -> Iterator[tuple[str, Json]]:
    """Yield the content of the request, and of the answer to one that went well."""
    if "requestBody" in operation:
        yield "request", operation["requestBody"]["content"]
    for status, response in operation["responses"].items():
        if status.startswith("2") and response.get("content"):
            yield status, response["content"]


def examples(content: Json) -> list[Any]:
    return [each["value"] for media in content.values() for each in media.get("examples", {}).values()]


def named(document: Json, schema: Json) -> Json:
    """Return a schema, looked up where it is a reference."""
    if "$ref" not in schema:
        return schema
    found: Json = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return found


def test_every_operation_has_a_summary_and_a_description_that_says_more(document: Json) -> None:
    lacking = []
    for name, operation in operations(document):
        summary, description = operation.get("summary", ""), operation.get("description", "")
        if not 5 < len(summary) <= 80 or summary.endswith("."):
            lacking.append(f"{name}: summary {summary!r}")
        if len(description) < len(summary) + 20:
            lacking.append(f"{name}: description {description!r}")
    assert not lacking, "\n".join(lacking)


def test_every_operation_has_an_example_of_what_is_sent_and_answered(document: Json) -> None:
    lacking = [
        f"{name} {part}"
        for name, operation in operations(document)
        for part, content in bodies(operation)
        if not examples(content)
    ]
    assert not lacking, "\n".join(lacking)


def test_every_operation_shows_a_problem(document: Json) -> None:
    assert all(examples(operation["responses"]["default"]["content"]) for _, operation in operations(document))


def test_each_schema_is_valid_json_schema(document: Json) -> None:
    faults = {}
    for name, schema in document["components"]["schemas"].items():
        try:
            jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})
        except jsonschema_rs.ValidationError as error:
            faults[name] = str(error)
    assert faults == {}


def test_each_example_is_valid(document: Json) -> None:
    faults = []
    for name, operation in operations(document):
        for part, content in [*bodies(operation), ("problem", operation["responses"]["default"]["content"])]:
            for media in content.values():
                schema = {**media["schema"], "components": document["components"]}
                validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
                for each in media.get("examples", {}).values():
                    faults += [f"{name} {part}: {error}" for error in validator.iter_errors(each["value"])]
    assert not faults, "\n\n".join(faults)


def test_every_parameter_is_described(document: Json) -> None:
    lacking = [name for name, parameter in parameters(document) if len(parameter.get("description", "")) < 5]
    assert not lacking, "\n".join(lacking)


def schemas(document: Json) -> Iterator[tuple[str, Json]]:
    """Yield all schemas: of components, bodies and parameters."""
    yield from document["components"]["schemas"].items()
    for name, operation in operations(document):
        yield from ((name, each["schema"]) for each in operation.get("parameters", []))
        for part, content in bodies(operation):
            yield from ((f"{name} {part}", media["schema"]) for media in content.values())


def fields(document: Json) -> Iterator[tuple[str, str, Json]]:
    for owner, schema in schemas(document):
        yield from ((owner, name, holder[name]) for owner, name, holder in fields_of(schema, owner))


def test_every_field_is_described(document: Json) -> None:
    found = list(fields(document))
    lacking = [f"{owner}.{name}" for owner, name, field in found if len(field.get("description", "")) < 5]
    assert len(found) > 900
    assert not lacking, f"{lacking}: give them a help_text, or a description in orchestrator/openapi/fields.json"


def test_no_description_is_written_for_programmers(document: Json) -> None:
    assert not [name for _, name, field in fields(document) if field["description"].startswith("Return ")]


def test_no_description_is_left_over(document: Json) -> None:
    shown = {
        (key, field["description"]) for owner, name, field in fields(document) for key in (name, f"{owner}.{name}")
    }
    assert {key for key, text in field_texts().items() if (key, text) not in shown} == set()


def test_a_schema_that_is_also_shown_to_models_stays_as_it_is(document: Json) -> None:
    from executions.engine.domain.dry_run import DryRunScript

    script = document["components"]["schemas"]["StartExecutionRequest"]["properties"]["rehearsal"]
    assert "description" in script["properties"]["latency_seconds"]
    assert "description" not in DryRunScript.model_json_schema()["properties"]["latency_seconds"]


def test_every_operation_names_the_authentication_that_applies(document: Json) -> None:
    known = document["components"]["securitySchemes"]
    assert all(len(scheme["description"]) > 20 for scheme in known.values())
    for name, operation in operations(document):
        schemes = {scheme for each in operation.get("security", []) for scheme in each}
        wanted = set() if name == "post /api/v1/auth/token" else {"bearerAuth", "cookieAuth"}
        if name.endswith("/stream") and "inbox" not in name:
            wanted |= {"ticketAuth"}
        assert schemes == wanted, name


def test_operations_that_need_no_warning_exist(document: Json) -> None:
    assert set(HARMLESS) <= {operation["operationId"] for _, operation in operations(document)}


@pytest.mark.parametrize("wanted", ["cursor", "If-Match", "Last-Event-ID", "last_event_id", "step_id", "tz"])
def test_a_text_with_a_form_has_a_pattern(document: Json, wanted: str) -> None:
    found = [parameter for _, parameter in parameters(document) if parameter["name"] == wanted]
    assert found
    assert all(re.compile(parameter["schema"]["pattern"]) for parameter in found)


@pytest.mark.parametrize("wanted", ["types", "group_by", "status"])
def test_words_are_named_one_by_one(document: Json, wanted: str) -> None:
    found = [parameter["schema"] for _, parameter in parameters(document) if parameter["name"] == wanted]
    assert found
    assert all(named(document, each.get("items", each))["enum"] for each in found)


def test_a_body_that_is_strict_says_so(document: Json) -> None:
    for name, operation in operations(document):
        content = operation.get("requestBody", {}).get("content", {})
        if "application/json" in content:  # a JSON Patch may have further members (RFC 6902, section 4)
            schema = named(document, content["application/json"]["schema"])
            assert schema["additionalProperties"] is False, name
            for inner in (named(document, each) for each in schema["properties"].values()):
                if "properties" in inner:
                    assert inner["additionalProperties"] is False, name


def test_a_text_that_may_not_be_blank_says_so(document: Json) -> None:
    schemas = document["components"]["schemas"]
    for form, field in (
        ("TokenRequest", "username"),
        ("RetryRequest", "from_step"),
        ("StartExecutionRequest", "scope_id"),
    ):
        schema = schemas[form]["properties"][field]
        assert (schema["minLength"], schema["pattern"]) == (1, r"\S"), field
    assert schemas["StartExecutionRequest"]["properties"]["tags"]["items"]["pattern"] == r"\S"
    assert "pattern" not in schemas["TokenRequest"]["properties"]["password"]  # white space counts there
    assert "minLength" not in schemas["AcceptanceRequest"]["properties"]["comment"]


def test_no_two_parameters_of_an_operation_are_one_name_for_generators(document: Json) -> None:
    """In one place: a header and a query parameter may share a name, and are told apart by it."""
    for name, operation in operations(document):
        found = [(each["in"], re.sub(r"[^a-z]", "", each["name"].lower())) for each in operation.get("parameters", [])]
        assert len(found) == len(set(found)), name


def test_every_operation_says_what_it_refuses(document: Json) -> None:
    for name, operation in operations(document):
        wanted = {"401"} if name != "post /api/v1/auth/token" else {"401", "422"}
        places = {each["in"] for each in operation.get("parameters", [])}
        wanted |= {"404"} if "path" in places else set()
        wanted |= {"422"} if "query" in places or "requestBody" in operation else set()
        wanted |= {"400", "413", "415"} if "requestBody" in operation else set()
        assert wanted <= operation["responses"].keys(), name
