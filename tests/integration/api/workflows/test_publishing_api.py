"""Workflows over HTTP: authors publish, compare, go back, retire; others read."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import jsonschema_rs
import pytest
import yaml

from access.user import User
from tests.factories import reports
from tests.factories.callers import Caller
from tests.factories.workflows import plan, step
from tests.integration.api.checks import pointers
from workflows.loader import CATALOG
from workflows.models import Workflow, WorkflowVersion

pytestmark = pytest.mark.django_db

YAML, ZIP = "application/yaml", "application/zip"


def as_yaml(**changes: Any) -> bytes:
    """Return a definition as YAML."""
    return yaml.safe_dump(plan(**changes), sort_keys=False).encode()


def folder(name: str) -> bytes:
    """Return a folder of the catalog as zip, with the folder's name in the paths."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for path in sorted((CATALOG / name).rglob("*.*")):
            archive.write(path, path.relative_to(CATALOG))
    return made.getvalue()


def told(response: Any) -> tuple[int, int, str]:
    body = response.json()
    return response.status_code, body["version"], body["outcome"]


def test_an_author_publishes_json_yaml_and_zip(author: Caller) -> None:
    first = author.post("/workflows/", plan())
    assert told(first) == (201, 1, "published")
    assert first.headers["Location"] == "/api/v1/workflows/note/versions/1"
    assert first.headers["ETag"].startswith('"1.')
    assert (first.json()["previous_version"], first.json()["stays"]) == (None, {"executions": 0, "questions": 0})
    assert told(author.post("/workflows", as_yaml(), content_type=YAML)) == (
        200,
        1,
        "unchanged",
    )
    second = author.post("/workflows/", as_yaml(description="Other."), content_type="text/yaml")
    assert told(second) == (201, 2, "published")
    again = author.post("/workflows/", plan())
    assert (told(again), again.json()["previous_version"]) == ((200, 1, "current again"), 2)
    assert told(author.post("/workflows/", folder("meeting-minutes"), content_type=ZIP)) == (201, 1, "published")
    assert author.get("/workflows/meeting-minutes").json()["definition"]["roles"].keys() == {"minute-taker"}


def test_others_are_told_that_only_authors_may(author: Caller, eve: Caller) -> None:
    author.post("/workflows/", plan())
    candidate = {"definition": plan(), "dry_run": True, "scope_type": "project", "scope_id": "mine"}
    refused = [
        eve.post("/workflows/", plan(description="Mine.")),
        eve.post("/workflows/validate", plan()),
        eve.post("/workflows/note/current", {"version": 1}),
        eve.delete("/workflows/note"),
        eve.post("/workflows/note/restore"),
        eve.post("/executions/", candidate),
    ]
    assert {(each.status_code, each.json()["code"]) for each in refused} == {(403, "author-required")}
    assert "author" in refused[0].json()["detail"]
    unknown = [eve.delete("/workflows/nothing"), eve.post("/workflows/nothing/current", {"version": 1})]
    assert {each.status_code for each in unknown} == {404}
    assert (WorkflowVersion.objects.count(), Workflow.objects.get().retired_at) == (1, None)


def test_validating_finds_all_faults_with_their_lines_and_stores_nothing(author: Caller) -> None:
    source = yaml.safe_dump(plan(steps=[step(role="ghost"), step(2, inputs=["nothing"])]), sort_keys=False)
    body = author.post("/workflows/validate", source.encode(), content_type=YAML).json()
    lines = source.split("\n")
    assert body["valid"] is False
    assert [(each["pointer"], each["file"], lines[each["line"] - 1].strip(" -")) for each in body["errors"]] == [
        ("/steps/0/role", "workflow.yaml", "role: ghost"),
        ("/steps/1/inputs/0", "workflow.yaml", "nothing"),
    ]
    as_json = json.dumps(plan(steps=[step(role="ghost")]), indent=1)
    [fault] = author.post("/workflows/validate", as_json.encode(), content_type="application/json").json()["errors"]
    assert (fault["file"], as_json.split("\n")[fault["line"] - 1].strip()) == ("workflow.json", '"role": "ghost",')
    assert author.post("/workflows/validate", plan()).json() == {
        "valid": True,
        "errors": [],
        "error_count": 0,
        "advice": [],
    }
    assert not Workflow.objects.exists()


def test_a_fault_in_an_included_file_names_that_file(author: Caller) -> None:
    files = {
        "workflow.yaml": yaml.safe_dump(plan(steps=[step(output_schema={"file": "schemas/note.json"})])),
        "schemas/note.json": '{\n "type": "object",\n "required": ["title"],\n "properties": {\n  "title": 7\n }\n}',
    }
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    refused = author.post("/workflows/", made.getvalue(), content_type=ZIP)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid-definition")
    fault = refused.json()["errors"][0]
    assert (fault["pointer"], fault["file"], fault["line"]) == (
        "/steps/0/output_schema/properties/title",
        "schemas/note.json",
        5,
    )


@pytest.mark.parametrize("name", sorted(path.name for path in CATALOG.iterdir() if path.is_dir()))
def test_an_export_publishes_again_as_the_same_version(author: Caller, name: str) -> None:
    author.post("/workflows/", folder(name), content_type=ZIP)
    exported = author.get(f"/workflows/{name}/export", {"version": 1})
    assert (exported.status_code, exported.headers["Content-Type"]) == (200, ZIP)
    assert exported.headers["Content-Disposition"] == f'attachment; filename="{name}-1.zip"'
    assert told(author.post("/workflows/", exported.content, content_type=ZIP)) == (200, 1, "unchanged")
    cached = author.get(f"/workflows/{name}/export", {"version": 1}, If_None_Match=exported.headers["ETag"])
    assert (cached.status_code, cached.content) == (304, b"")


def test_versions_are_compared_by_step_role_and_field(author: Caller) -> None:
    author.post("/workflows/", plan())
    changed = step(task="Write well.", output_schema={**step()["output_schema"], "required": ["zeta", "title"]})
    roles = {**plan()["roles"], "editor": {"name": "Editor", "instructions": "You edit."}}
    author.post("/workflows/", plan(steps=[step(2), changed], roles=roles, max_parallel=2))
    body = author.get("/workflows/note/diff").json()
    assert (body["from"], body["to"], body["is_reordered"]) == (1, 2, False)
    assert [(each["field"], each["before"], each["after"]) for each in body["changes"]] == [("max_parallel", None, 2)]
    assert [(each["kind"], each["id"]) for each in body["steps"]] == [("added", "step-2"), ("changed", "step-1")]
    assert [(each["kind"], each["id"]) for each in body["roles"]] == [("added", "editor")]
    task, schema = body["steps"][1]["changes"]
    assert [(run["op"], run["text"]) for run in task["words"]] == [
        ("equal", "Write"),
        ("insert", " well"),
        ("equal", "."),
    ]
    assert (schema["field"], schema["pointer"]) == ("output_schema", "/output_schema/required/0")
    back = author.get("/workflows/note/diff", {"from": 2, "to": 1}).json()
    assert [(each["kind"], each["id"]) for each in back["steps"]] == [("changed", "step-1"), ("removed", "step-2")]
    assert author.get("/workflows/note/diff", {"from": 1, "to": 1}).json()["steps"] == []
    assert author.get("/workflows/note/diff", {"to": 1}).json()["from"] is None
    assert author.get("/workflows/note/diff", {"to": 9}).status_code == 404
    assert author.get("/workflows/note/diff", {"form": 1}).status_code == 422


def test_a_version_and_its_graph(author: Caller) -> None:
    steps = [step(), step(2, inputs=["paper-1", "law"], acceptance={"instructions": "True?"})]
    author.post("/workflows/", plan(steps=steps, scope_documents=["law"]))
    author.post("/workflows/", plan())
    version = author.get("/workflows/note/versions/1").json()
    assert (version["version"], version["current"], len(version["definition"]["steps"])) == (1, False, 2)
    graph = author.get("/workflows/note/graph", {"version": 1}).json()
    assert graph["levels"] == [["step-1"], ["step-2"]]
    assert [(each["id"], each["level"], each["accepted"]) for each in graph["nodes"]] == [
        ("step-1", 0, False),
        ("step-2", 1, True),
    ]
    assert [(each["from_step"], each["to_step"], each["document"]) for each in graph["edges"]] == [
        ("step-1", "step-2", "paper-1"),
        (None, "step-2", "law"),
    ]
    assert author.get("/workflows/note/graph").json()["levels"] == [["step-1"]]
    for path in ("versions/3", "graph?version=3", "export?version=3"):
        assert author.get(f"/workflows/note/{path}").status_code == 404


def test_an_author_goes_back_to_a_version(author: Caller) -> None:
    author.post("/workflows/", plan(description="First."))
    author.post("/workflows/", plan(description="Second."))
    stale = author.post("/workflows/note/current", {"version": 1}, If_Match='"1"')
    assert (stale.status_code, stale.json()["code"]) == (412, "version-conflict")
    back = author.post("/workflows/note/current", {"version": 1}, If_Match='"2"')
    assert (back.status_code, back.json()["version"], back.json()["description"]) == (200, 1, "First.")
    assert author.post("/workflows/note/current", {"version": 1}).status_code == 200
    unknown = author.post("/workflows/note/current", {"version": 9})
    assert (unknown.status_code, pointers(unknown)) == (422, {"/version"})
    assert author.post("/workflows/nothing/current", {"version": 1}).status_code == 404
    assert author.post("/workflows/", plan(description="Third."), If_Match='"2"').status_code == 412
    assert author.get("/workflows/note").json()["version"] == 1


def test_a_retired_workflow_starts_nothing_and_comes_back(author: Caller, report: int) -> None:
    body = {"workflow_id": "report", "scope_type": "project", "scope_id": "mine", "input": "A ferry."}
    running = author.post("/executions/", body).json()
    assert (author.delete("/workflows/report").status_code, author.delete("/workflows/report").status_code) == (
        204,
        204,
    )
    for refused in (author.post("/executions/", body), author.post("/workflows/report/estimate", {"input": "A."})):
        assert (refused.status_code, refused.json()["code"]) == (410, "workflow-retired")
    assert author.get("/workflows/").json()["data"] == []
    [listed] = author.get("/workflows/", {"retired": "true"}).json()["data"]
    assert listed["retired_at"] == author.get("/workflows/report").json()["retired_at"]
    published = author.post("/workflows/", reports.definition("Another.").model_dump(mode="json"))
    assert (told(published), published.json()["retired_at"]) == ((201, 2, "published"), listed["retired_at"])
    assert published.json()["stays"] == {"executions": 1, "questions": 0}
    assert author.get(f"/executions/{running['execution_id']}").json()["workflow_version"] == 1
    assert author.post("/workflows/report/restore").json()["retired_at"] is None
    assert author.post("/executions/", body).status_code == 201


def test_what_stays_counts_what_the_author_may_see(author: Caller, eve: Caller, report: int) -> None:
    reports.ask(reports.start(author.user))
    reports.start(eve.user, "beta")
    body = author.post("/workflows/", reports.definition("Another.").model_dump(mode="json")).json()
    assert body["stays"] == {"executions": 1, "questions": 1}


def test_a_publication_with_a_key_happens_once(author: Caller) -> None:
    first = author.post("/workflows/", plan(), Idempotency_Key="one")
    author.post("/workflows/", plan(description="Other."))
    again = author.post("/workflows/", as_yaml(), content_type=YAML, Idempotency_Key="one")
    assert (again.status_code, again.json(), again.headers["Idempotency-Replayed"]) == (201, first.json(), "true")
    assert author.get("/workflows/note").json()["version"] == 2
    reused = author.post("/workflows/", plan(description="Third."), Idempotency_Key="one")
    assert reused.json()["code"] == "idempotency-key-reused"
    User.objects.filter(pk=author.user.pk).update(is_author=False)
    assert author.post("/workflows/", plan(), Idempotency_Key="one").status_code == 403


def test_the_schema_for_editors_accepts_the_catalog(ada: Caller) -> None:
    schema = ada.get("/workflows/schema").json()
    validator = jsonschema_rs.validator_for(schema)
    for path in CATALOG.glob("*/workflow.yaml"):
        source = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert list(validator.iter_errors(source)) == []
        assert not validator.is_valid({**source, "setps": []})
    assert validator.is_valid(plan())
