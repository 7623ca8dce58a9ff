"""Words for people: acts of the audit log, ways by which they came, and kinds of waiting work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy, ngettext_lazy

from access.audit.acts import Act, Via
from executions.engine.domain.states import InboxKind

ACTS: Mapping[Act, Promise] = {
    Act.LOGIN: gettext_lazy("logged in"),
    Act.LOGIN_FAIL: gettext_lazy("login failed"),
    Act.LOGOUT: gettext_lazy("logged out"),
    Act.PASSWORD_CHANGE: gettext_lazy("changed the password"),
    Act.TOKEN_MAKE: gettext_lazy("made a token"),
    Act.TOKEN_CHANGE: gettext_lazy("changed a token"),
    Act.TOKEN_END: gettext_lazy("revoked a token"),
    Act.SESSION_END: gettext_lazy("ended a session"),
    Act.USER_ADD: gettext_lazy("added a user"),
    Act.USER_CHANGE: gettext_lazy("changed a user"),
    Act.USER_ACTIVATE: gettext_lazy("activated a user"),
    Act.USER_ERASE: gettext_lazy("erased a person"),
    Act.USER_DEACTIVATE: gettext_lazy("deactivated a user"),
    Act.ROLE_GIVE: gettext_lazy("gave a role"),
    Act.ROLE_TAKE: gettext_lazy("took a role"),
    Act.INVITATION_MAKE: gettext_lazy("invited a person"),
    Act.INVITATION_ACCEPT: gettext_lazy("accepted an invitation"),
    Act.INVITATION_WITHDRAW: gettext_lazy("withdrew an invitation"),
    Act.SCOPE_CLAIM: gettext_lazy("first used a scope"),
    Act.SCOPE_RETENTION: gettext_lazy("changed the retention of a scope"),
    Act.SCOPE_BUDGET: gettext_lazy("changed the budget of a scope"),
    Act.WORKFLOW_PUBLISH: gettext_lazy("published a workflow"),
    Act.WORKFLOW_MAKE_CURRENT: gettext_lazy("made a version of a workflow current"),
    Act.WORKFLOW_RETIRE: gettext_lazy("retired a workflow"),
    Act.WORKFLOW_RESTORE: gettext_lazy("restored a workflow"),
    Act.EXECUTION_START: gettext_lazy("started an execution"),
    Act.EXECUTION_CANCEL: gettext_lazy("cancelled an execution"),
    Act.EXECUTION_RETRY: gettext_lazy("retried an execution"),
    Act.EXECUTION_BUDGET: gettext_lazy("changed the limits of an execution"),
    Act.EXECUTION_DISMISS: gettext_lazy("dismissed a failure"),
    Act.EXECUTION_EXPORT: gettext_lazy("downloaded an execution"),
    Act.EXECUTION_ERASE: gettext_lazy("erased an execution"),
    Act.STEP_ANSWER: gettext_lazy("answered questions"),
    Act.STEP_ACCEPT: gettext_lazy("accepted a document"),
    Act.STEP_REJECT: gettext_lazy("rejected a document"),
    Act.STEP_REQUEST_CHANGES: gettext_lazy("requested changes"),
    Act.STEP_VOTE: gettext_lazy("voted on a document"),
    Act.STEP_ASSIGN: gettext_lazy("assigned people"),
    Act.DOCUMENT_ADD: gettext_lazy("added a document"),
    Act.DOCUMENT_EDIT: gettext_lazy("edited a document"),
    Act.DOCUMENT_RESTORE: gettext_lazy("restored a document"),
    Act.COMMENT_ADD: gettext_lazy("wrote a comment"),
    Act.COMMENT_RESOLVE: gettext_lazy("resolved a comment"),
    Act.COMMENT_REOPEN: gettext_lazy("reopened a comment"),
    Act.FILE_UPLOAD: gettext_lazy("uploaded a file"),
    Act.FILE_DELETE: gettext_lazy("deleted a file"),
    Act.ADMIN_ADD: gettext_lazy("added a row in the admin"),
    Act.ADMIN_CHANGE: gettext_lazy("changed a row in the admin"),
    Act.ADMIN_DELETE: gettext_lazy("deleted a row in the admin"),
    Act.AUDIT_EXPORT: gettext_lazy("downloaded the audit log"),
}
WAYS: Mapping[Via, Promise] = {
    Via.API: gettext_lazy("API"),
    Via.CONSOLE: gettext_lazy("console"),
    Via.ADMIN: gettext_lazy("admin"),
    Via.COMMAND: gettext_lazy("command"),
    Via.OIDC: gettext_lazy("single sign-on"),
}
WAITING: Mapping[InboxKind, Any] = {
    InboxKind.QUESTION: ngettext_lazy("question to answer", "questions to answer"),
    InboxKind.ACCEPTANCE: ngettext_lazy("document to decide", "documents to decide"),
    InboxKind.BUDGET: ngettext_lazy("budget to raise", "budgets to raise"),
    InboxKind.FAILURE: ngettext_lazy("failed execution", "failed executions"),
}


def waiting(kind: InboxKind, number: int = 1) -> str:
    """Return what waits, for one or for several, without their number."""
    return str(WAITING[kind] % number)
