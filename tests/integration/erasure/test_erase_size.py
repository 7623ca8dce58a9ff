"""Erasing one execution reads as much among many executions, answers and versions as among few."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection

from access import services
from documents import erasure as documents
from documents.models import File
from executions.engine.domain.clarification import AnswerType, QuestionDraft
from executions.models import Execution
from executions.persistence import erasure, repositories
from executions.persistence.person_traces import _USING_FILES
from tests.factories import reports
from tests.factories.callers import Caller
from tests.integration.api.decisions.test_clarification_api import answer
from tests.integration.api.documents.test_files_api import start, upload

pytestmark = pytest.mark.django_db

MANY = 5_000
PLAN = QuestionDraft(text="Where is the plan?", answer_type=AnswerType.FILE)


def fill(execution_id: UUID) -> None:
    """Store many copies of an execution with its steps, and many answers. A tenth of the briefs has files."""
    other = {"executions_execution": "id input", "executions_executionstep": "id execution_id rounds"}
    with connection.cursor() as cursor:
        columns = {name: _columns(cursor, name, set(but.split())) for name, but in other.items()}
        execution, step = columns["executions_execution"], columns["executions_executionstep"]
        cursor.execute(
            f"""
            INSERT INTO executions_execution (id, input, {execution})
            SELECT gen_random_uuid(), CASE WHEN number %% 10 = 0
              THEN json_build_object('text', 'A brief.', 'files', json_build_array(gen_random_uuid()))
              ELSE '"A brief."' END, {execution}
            FROM executions_execution, generate_series(1, {MANY}) AS number WHERE id = %s
            """,  # noqa: S608 - no input in it
            [execution_id],
        )
        cursor.execute(
            f"""
            INSERT INTO executions_executionstep (execution_id, rounds, {step})
            SELECT other.id, '[]', {", ".join(f"step.{name}" for name in step.split(", "))}
            FROM executions_execution AS other, executions_executionstep AS step
            WHERE step.execution_id = %s AND other.id <> step.execution_id
            """,  # noqa: S608 - no input in it
            [execution_id],
        )
        cursor.execute(
            f"""
            INSERT INTO access_keptanswer
              (user_id, method, path, key, body_hash, status, headers, answer, kept_at)
            SELECT requested_by_id, 'POST', '/api/v1/executions', 'k' || number, '', 201, '{{}}',
              json_build_object('execution_id', gen_random_uuid()), now()
            FROM executions_execution, generate_series(1, {MANY}) AS number WHERE id = %s
            """,  # noqa: S608 - no input in it
            [execution_id],
        )
        cursor.execute("ANALYZE executions_execution, executions_executionstep, access_keptanswer")


def _columns(cursor: Any, table: str, but: set[str]) -> str:
    cursor.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_name = %s AND is_generated = 'NEVER'", [table]
    )
    return ", ".join(name for (name,) in cursor.fetchall() if name not in but)


def plan_of(statement: str, values: list[Any]) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {statement}", values)
        return "\n".join(line for (line,) in cursor.fetchall())


def test_files_and_stored_answers_are_found_by_indexes(ada: Caller, report: int) -> None:
    file = upload(ada, b"A plan.")["id"]
    execution_id = UUID(start(ada, {"text": "Read it.", "files": [file]}).json()["execution_id"])
    root_id = Execution.objects.get().scope_id
    fill(execution_id)
    named = plan_of(erasure._FILES_NAMED, [*[[file], root_id, execution_id] * 2, [file]])
    used = plan_of(_USING_FILES, [[file], [file], [root_id]])
    about = str(execution_id)
    kept = plan_of(services._FORGET_ANSWERS, [[about], about, about, []])
    of_documents = plan_of(services._FORGET_ANSWERS_ABOUT, [[about], [about], [about]])
    for plan in (named, used):
        assert "execution_files" in plan and "step_files" in plan, plan
        assert "Seq Scan" not in plan, plan
    for plan in (kept, of_documents):
        assert "answer_ids" in plan, plan


def test_versions_are_found_by_their_file(ada: Caller) -> None:
    scope = {"scope_type": "project", "scope_id": "alpha"}
    file = upload(ada, b"A plan.")["id"]
    assert ada.post("/documents/", {**scope, "type": "plan", "file": file}).status_code == 201
    root_id = File.objects.get().scope_id
    assert root_id is not None
    wanted = [UUID(file), uuid4()]
    assert documents.files_named(wanted, root_id=root_id, but_by=uuid4()) == {UUID(file)}
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    plan = plan_of(documents._FILES_NAMED, [[file], root_id, uuid4()])
    assert "document_version_file" in plan, plan


def test_a_file_that_answers_a_question_of_another_execution_stays(ada: Caller, report: int) -> None:
    file = upload(ada, b"A plan.")["id"]
    first = start(ada, {"text": "Read it.", "files": [file]}).json()["execution_id"]
    reports.finish(repositories.get(UUID(first)))
    second = reports.ask(reports.start(ada.user), questions=(PLAN,))
    assert answer(ada, second, {"research.1.1": file}).status_code == 200
    assert ada.delete(f"/executions/{first}").status_code == 204
    assert File.objects.filter(id=file).exists()
    reports.finish_step(reports.finish_step(reports.claim(reports.read(second)), "research"), "summary")
    assert ada.delete(f"/executions/{second.id}").status_code == 204
    assert not File.objects.filter(id=file).exists()
