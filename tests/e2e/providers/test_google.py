"""The four-step workflow on Google's models, streamed and with a question, on a third-party server."""

from __future__ import annotations

import pytest
import yaml

from tests.e2e.processes import ROOT, Machine, start_execution, wait_for_status
from tests.e2e.providers.mock_models import GOOGLE, mock_models

pytestmark = [pytest.mark.e2e, pytest.mark.torture]


def test_a_key_of_google_is_all_that_the_line_of_four_needs(fresh: Machine, brief: str) -> None:
    rules = yaml.safe_load((ROOT / "examples/mock-provider.yaml").read_text(encoding="utf-8"))["rules"]
    with mock_models() as mock:
        said = sorted((rule["respond"]["tool_calls"] for rule in rules), key=lambda calls: str(calls[0]["name"]))
        mock.will(*({"type": "reply", "tool_calls": calls} for calls in said))  # what is asked comes first
        fresh.environment |= GOOGLE.environment(mock.url)
        fresh.serve()
        with fresh.client() as client:
            execution_id = start_execution(client, brief)
            wait_for_status(client, execution_id, "waiting")
            [step] = [
                each for each in client.get(f"/executions/{execution_id}/steps").json()["data"] if each["clarification"]
            ]
            [question] = step["clarification"]["questions"]
            answers = {question["id"]: question["choices"][1]["value"]}
            path = f"/executions/{execution_id}/steps/{step['step_id']}/clarification"
            assert client.post(path, json={"answers": answers}).status_code == 200
            done = wait_for_status(client, execution_id, "completed", "failed")
            assert done["status"] == "completed", done["error"]
            costs = client.get(f"/telemetry/executions/{execution_id}/costs").json()
        asked = mock.asked()
    assert [(each["provider"], each["stream"]) for each in asked] == [("gemini", True)] * 5
    calls = [call for step in costs["steps"] for each in step["attempts"] for call in each["calls"]]
    assert {call["requested_model"] for call in calls} == {"google:gemini-3.8-flash", "google:gemini-4-argon"}
    assert costs["total"]["cost_complete"]
