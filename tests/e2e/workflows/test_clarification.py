"""A question of a step, and the answers of people."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.e2e.processes import Machine, start_execution, stream, wait_for_status

pytestmark = pytest.mark.e2e


def _questions(client: httpx.Client, execution_id: str) -> tuple[str, list[dict[str, Any]]]:
    wait_for_status(client, execution_id, "waiting")
    steps = client.get(f"/executions/{execution_id}/steps").json()["data"]
    step = next(step for step in steps if step["status"] == "waiting")
    return step["step_id"], step["clarification"]["questions"]


def fitting_answer(question: dict[str, Any], text: str) -> Any:
    """Return an answer of the question's type."""
    match question["answer_type"]:
        case "single_choice":
            return question["choices"][0]["value"]
        case "multi_choice":
            return [question["choices"][0]["value"]]
        case "yes_no":
            return True
        case "number":
            return 42
        case "date":
            return "2027-03-01"
        case _:
            return text


def _answer(client: httpx.Client, execution_id: str, step: str, answers: dict[str, Any]) -> httpx.Response:
    return client.post(f"/executions/{execution_id}/steps/{step}/clarification", json={"answers": answers})


def answer_all(client: httpx.Client, execution_id: str) -> None:
    """Answer whatever is asked until the execution ends."""
    while wait_for_status(client, execution_id, "waiting", "completed")["status"] == "waiting":
        step, questions = _questions(client, execution_id)
        answers = {question["id"]: fitting_answer(question, "As the brief says") for question in questions}
        assert _answer(client, execution_id, step, answers).status_code == 200


def test_two_people_who_answer_differently_at_once_get_one_yes_one_no_and_one_continuation(
    shared: Machine, brief: str
) -> None:
    with shared.client("race") as client:
        execution_id = start_execution(client, brief, key="race")
        step, questions = _questions(client, execution_id)
        first = {question["id"]: fitting_answer(question, "Answer of the first") for question in questions}
        second = {question["id"]: fitting_answer(question, "Answer of the second") for question in questions}
        changed = next(question for question in questions)
        second[changed["id"]] = 43 if first[changed["id"]] == 42 else second[changed["id"]]
        if second == first:  # only choices were asked: another choice is another answer
            second[changed["id"]] = changed["choices"][1]["value"]
        with ThreadPoolExecutor(2) as pool:
            posts = [pool.submit(_answer, client, execution_id, step, answers) for answers in (first, second)]
            codes = sorted(post.result().status_code for post in posts)
        assert codes == [200, 409]
        answer_all(client, execution_id)
        events = [(event, data["step_id"]) for _, event, data in stream(client, execution_id)]
        assert events.count(("clarification_answered", step)) == 1
        assert events.count(("step_completed", step)) == 1


def test_a_wrong_answer_is_refused_with_its_pointer_and_the_question_stays_open(shared: Machine, brief: str) -> None:
    with shared.client("wrong") as client:
        execution_id = start_execution(client, brief, key="wrong")
        step, questions = _questions(client, execution_id)
        before = client.get(f"/executions/{execution_id}/events").json()
        refused = _answer(client, execution_id, step, {"no-such-question": "x"})
        assert refused.status_code == 422
        assert refused.headers["content-type"] == "application/problem+json"
        assert "/answers/no-such-question" in {error["pointer"] for error in refused.json()["errors"]}
        assert client.get(f"/executions/{execution_id}/events").json() == before
        assert _questions(client, execution_id) == (step, questions)
