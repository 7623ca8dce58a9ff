"""What the audit log can say: the acts, and the ways by which they come. `docs/audit.md` lists both."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal


class Act(StrEnum):
    """An act of a person, a token or a command."""

    LOGIN = "login"
    LOGIN_FAIL = "login.fail"
    LOGOUT = "logout"
    PASSWORD_CHANGE = "password.change"  # noqa: S105 - no password
    TOKEN_MAKE = "token.make"  # noqa: S105 - no password
    TOKEN_CHANGE = "token.change"  # noqa: S105 - no password
    TOKEN_END = "token.end"  # noqa: S105 - no password
    SESSION_END = "session.end"
    USER_ADD = "user.add"
    USER_CHANGE = "user.change"
    USER_ACTIVATE = "user.activate"
    USER_DEACTIVATE = "user.deactivate"
    USER_ERASE = "user.erase"
    ROLE_GIVE = "role.give"
    ROLE_TAKE = "role.take"
    INVITATION_MAKE = "invitation.make"
    INVITATION_ACCEPT = "invitation.accept"
    INVITATION_WITHDRAW = "invitation.withdraw"
    SCOPE_CLAIM = "scope.claim"
    SCOPE_BUDGET = "scope.budget"
    SCOPE_RETENTION = "scope.retention"
    WORKFLOW_PUBLISH = "workflow.publish"
    WORKFLOW_MAKE_CURRENT = "workflow.make_current"
    WORKFLOW_RETIRE = "workflow.retire"
    WORKFLOW_RESTORE = "workflow.restore"
    EXECUTION_START = "execution.start"
    EXECUTION_CANCEL = "execution.cancel"
    EXECUTION_RETRY = "execution.retry"
    EXECUTION_BUDGET = "execution.budget"
    EXECUTION_DISMISS = "execution.dismiss"
    EXECUTION_EXPORT = "execution.export"
    EXECUTION_ERASE = "execution.erase"
    STEP_ANSWER = "step.answer"
    STEP_ACCEPT = "step.accept"
    STEP_REJECT = "step.reject"
    STEP_REQUEST_CHANGES = "step.request_changes"
    STEP_VOTE = "step.vote"
    STEP_ASSIGN = "step.assign"
    DOCUMENT_ADD = "document.add"
    DOCUMENT_EDIT = "document.edit"
    DOCUMENT_RESTORE = "document.restore"
    COMMENT_ADD = "comment.add"
    COMMENT_RESOLVE = "comment.resolve"
    COMMENT_REOPEN = "comment.reopen"
    FILE_UPLOAD = "file.upload"
    FILE_DELETE = "file.delete"
    ADMIN_ADD = "admin.add"
    ADMIN_CHANGE = "admin.change"
    ADMIN_DELETE = "admin.delete"
    AUDIT_EXPORT = "audit.export"


class Via(StrEnum):
    """The way by which an act came."""

    API = "api"
    CONSOLE = "console"
    ADMIN = "admin"
    COMMAND = "command"  # a management command or another process without a request
    OIDC = "oidc"  # groups and claims of the provider of single sign-on


def right_part(right: Literal["staff", "author", "superuser"], *, given: bool) -> str:
    """Return the `part` of a row about a right of the whole installation that was given or taken."""
    return f"+{right}" if given else f"-{right}"
