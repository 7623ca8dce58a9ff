"""Words for people: acts of the audit log, ways by which they came, and kinds of waiting work."""

from __future__ import annotations

from collections.abc import Mapping

from access.audit.acts import Act, Via
from executions.engine.domain.states import InboxKind

ACTS: Mapping[Act, str] = {
    Act.LOGIN: "logged in",
    Act.LOGIN_FAIL: "login failed",
    Act.LOGOUT: "logged out",
    Act.PASSWORD_CHANGE: "changed the password",
    Act.TOKEN_MAKE: "made a token",
    Act.TOKEN_CHANGE: "changed a token",
    Act.TOKEN_END: "revoked a token",
    Act.SESSION_END: "ended a session",
    Act.USER_ADD: "added a user",
    Act.USER_CHANGE: "changed a user",
    Act.USER_ACTIVATE: "activated a user",
    Act.USER_ERASE: "erased a person",
    Act.USER_DEACTIVATE: "deactivated a user",
    Act.ROLE_GIVE: "gave a role",
    Act.ROLE_TAKE: "took a role",
    Act.INVITATION_MAKE: "invited a person",
    Act.INVITATION_ACCEPT: "accepted an invitation",
    Act.INVITATION_WITHDRAW: "withdrew an invitation",
    Act.SCOPE_CLAIM: "first used a scope",
    Act.SCOPE_RETENTION: "changed the retention of a scope",
    Act.SCOPE_BUDGET: "changed the budget of a scope",
    Act.WORKFLOW_PUBLISH: "published a workflow",
    Act.WORKFLOW_MAKE_CURRENT: "made a version of a workflow current",
    Act.WORKFLOW_RETIRE: "retired a workflow",
    Act.WORKFLOW_RESTORE: "restored a workflow",
    Act.EXECUTION_START: "started an execution",
    Act.EXECUTION_CANCEL: "cancelled an execution",
    Act.EXECUTION_RETRY: "retried an execution",
    Act.EXECUTION_BUDGET: "changed the limits of an execution",
    Act.EXECUTION_DISMISS: "dismissed a failure",
    Act.EXECUTION_EXPORT: "downloaded an execution",
    Act.EXECUTION_ERASE: "erased an execution",
    Act.STEP_ANSWER: "answered questions",
    Act.STEP_ACCEPT: "accepted a document",
    Act.STEP_REJECT: "rejected a document",
    Act.STEP_REQUEST_CHANGES: "requested changes",
    Act.STEP_VOTE: "voted on a document",
    Act.STEP_ASSIGN: "assigned people",
    Act.DOCUMENT_ADD: "added a document",
    Act.DOCUMENT_EDIT: "edited a document",
    Act.DOCUMENT_RESTORE: "restored a document",
    Act.COMMENT_ADD: "wrote a comment",
    Act.COMMENT_RESOLVE: "resolved a comment",
    Act.COMMENT_REOPEN: "reopened a comment",
    Act.FILE_UPLOAD: "uploaded a file",
    Act.FILE_DELETE: "deleted a file",
    Act.ADMIN_ADD: "added a row in the admin",
    Act.ADMIN_CHANGE: "changed a row in the admin",
    Act.ADMIN_DELETE: "deleted a row in the admin",
    Act.AUDIT_EXPORT: "downloaded the audit log",
}
WAYS: Mapping[Via, str] = {
    Via.API: "API",
    Via.CONSOLE: "console",
    Via.ADMIN: "admin",
    Via.COMMAND: "command",
    Via.OIDC: "single sign-on",
}
#: What waits, for one and for several.
WAITING: Mapping[InboxKind, tuple[str, str]] = {
    InboxKind.QUESTION: ("question to answer", "questions to answer"),
    InboxKind.ACCEPTANCE: ("document to decide", "documents to decide"),
    InboxKind.BUDGET: ("budget to raise", "budgets to raise"),
    InboxKind.FAILURE: ("failed execution", "failed executions"),
}
