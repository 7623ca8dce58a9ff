"""Schemathesis against a live server: duration, seed and user."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.fuzzing import share_of_30

#: For all runs together.
SECONDS = share_of_30(12)
SEED = int(os.environ.get("FUZZ_SEED", "1703"))

#: Their values obey rules that a schema cannot say: a cursor is one of this list, a key belongs to one body. 422 is no
#: fault there.
_RULES_BEYOND_THE_SCHEMA = (
    "audit_list",
    "clarifications_list",
    "documents_comments_create",
    "documents_comments_list",
    "documents_comments_partial_update",
    "documents_create",
    "documents_list",
    "documents_partial_update",
    "documents_restore_create",
    "documents_update",
    "documents_versions_list",
    "executions_bulk",
    "executions_calls_list",
    "executions_cancel_create",
    "executions_create",
    "executions_events_retrieve",
    "executions_list",
    "executions_retry_create",
    "executions_steps_acceptance_create",
    "executions_steps_assign_create",
    "executions_steps_clarification_create",
    "executions_steps_retrieve",
    "executions_stream",
    "files_create",
    "inbox_dismiss_create",
    "inbox_list",
    "inbox_stream",
    "invitations_accept",
    "me_password",
    "me_sessions_list",
    "me_tokens_create",
    "me_tokens_list",
    "me_update",
    "scopes_budget_update",
    "scopes_invitations_create",
    "scopes_invitations_list",
    "scopes_list",
    "scopes_retrieve",
    "scopes_roles_list",
    "scopes_stream",
    "steps_bulk",
    "telemetry_executions",
    "telemetry_summary",
    "workflows_create",
    "workflows_current_create",
    "workflows_diff_retrieve",
    "workflow_estimate",
    "workflows_list",
    "workflows_restore_create",
    "workflows_versions_list",
)
#: OpenAPI 3.1 describes the whole text of a stream; the program holds each event against that.
_STREAMS = ("executions_stream", "inbox_stream", "scopes_stream")
#: Makes bytes of what it generates for a zip archive; the archive is damaged. An empty value of a query counts as
#: absent, which a schema cannot say.
_HOOKS = """
import schemathesis

@schemathesis.serializer("application/zip")
def archive(context, value):
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")

@schemathesis.hook
def filter_case(context, case):
    return "" not in dict(case.query or {}).values()
"""
#: 410: an earlier request of the program has erased it.
_REFUSED = "400, 401, 402, 403, 404, 405, 406, 409, 410, 413, 415, 422, 428, 429"
_EXPECTED = '"2xx", 304, 400, 401, 402, 403, 404, 409, 410, 412, 413, 428, 429'


@dataclass(frozen=True)
class Run:
    """One run of the program."""

    url: str
    share: float  # of the time
    token: str | None = None
    parameters: dict[str, str] = field(default_factory=dict)  # of paths, fixed
    without: tuple[str, ...] = ()  # ids of operations that are left alone
    checks: str = ""  # by their names; empty: all, unless the settings of an operation leave one out

    def go(self, folder: Path) -> int:
        """Run it within its time, longer on a machine too busy for a single request; return how many were made.

        Raises:
            AssertionError: the server and its document differ, or the server failed.
        """
        (folder / "config.toml").write_text(self._config(), encoding="utf-8")
        (folder / "hooks.py").write_text(_HOOKS, encoding="utf-8")
        seconds = max(3, round(SECONDS * self.share))
        made = (
            re.search(r"^\s+(\d+) generated", self._output(folder, seconds * more), re.MULTILINE) for more in (1, 4, 16)
        )
        return next((int(found[1]) for found in made if found is not None), 0)

    def _output(self, folder: Path, seconds: int) -> str:
        named = [f"--exclude-operation-id={each}" for each in self.without]
        header = [] if self.token is None else ["--header", f"Authorization: Bearer {self.token}"]
        named += [f"--checks={self.checks}"] if self.checks else []
        done = subprocess.run(
            [
                Path(sys.executable).parent / "schemathesis",
                "--config-file=config.toml",
                "run",
                f"{self.url}/api/v1/openapi.json",
                f"--max-time={seconds}",
                f"--seed={SEED}",
                "--workers=1",  # CPython 3.11 fails with "AST constructor recursion depth mismatch" in two threads
                "--generation-database=none",
                "--request-timeout=60",
                "--max-response-time=60",  # a busy machine is no fault
                "--continue-on-failure",
                "--no-color",
                *named,
                *header,
            ],
            cwd=folder,
            env={**os.environ, "SCHEMATHESIS_HOOKS": "hooks"},
            capture_output=True,
            text=True,
            timeout=seconds + 120,
            check=False,
        )
        assert done.returncode == 0, f"FUZZ_SEED={SEED}\n{done.stdout[-12000:]}{done.stderr[-3000:]}"
        return done.stdout

    def _config(self) -> str:
        """Return the settings that have no option of their own."""
        lines = ["[checks.positive_data_acceptance]", f"expected-statuses = [{_EXPECTED}]", ""]
        for check in ("negative_data_rejection", "missing_required_header"):
            lines += [f"[checks.{check}]", f"expected-statuses = [{_REFUSED}]", ""]
        lines += ["[parameters]", *(f'"path.{name}" = "{value}"' for name, value in self.parameters.items()), ""]
        for name in _RULES_BEYOND_THE_SCHEMA:
            lines += ["[[operations]]", f'include-operation-id = "{name}"']
            lines += [f"checks.positive_data_acceptance.expected-statuses = [{_EXPECTED}, 422]"]
            lines += ["checks.response_schema_conformance.enabled = false"] if name in _STREAMS else []
        return "\n".join(lines)
