"""Paths of the console."""

from __future__ import annotations

from django.urls import include, path
from django.views.generic import RedirectView

from console import comment_pages, decision_pages, document_pages, edit_pages, shell, views
from console.account import urls as account
from console.costs import urls as costs
from console.execution_pages import urls as execution_pages
from console.executions import again_pages
from console.executions import urls as executions
from console.home import urls as home
from console.inbox import acts
from console.inbox import pages as inbox_pages
from console.people import invitation_pages, setup_pages
from console.scopes import urls as scopes

app_name = "console"
urlpatterns = [
    *home.urlpatterns,
    path("login/", views.LoginPage.as_view(), name="login"),
    path("logout/", views.Logout.as_view(), name="logout"),
    path("setup/", setup_pages.setup, name="setup"),
    path("example/", setup_pages.example, name="example"),
    path("invitations/", invitation_pages.invitation, name="invitation"),
    path("invitations/<str:token>/", invitation_pages.follow_link, name="invitation-link"),
    *account.urlpatterns,
    *scopes.urlpatterns,
    *costs.urlpatterns,
    *executions.urlpatterns,
    *execution_pages.urlpatterns,
    path("questions/", RedirectView.as_view(pattern_name="console:inbox", query_string=True), name="questions"),
    path("inbox/", inbox_pages.entries, name="inbox"),
    path("inbox/accept/", acts.accept_many, name="inbox-accept"),
    path("inbox/count/", views.waiting_count, name="waiting-count"),
    path("inbox/parts/list/", inbox_pages.entry_list, name="part-inbox"),
    path("inbox/retry/<uuid:execution_id>/", acts.retry, name="inbox-retry"),
    path("inbox/dismiss/<uuid:execution_id>/", acts.dismiss, name="inbox-dismiss"),
    path("inbox/<uuid:execution_id>/<slug:kind>/", acts.act, name="inbox-thing"),
    path("inbox/parts/state/<uuid:execution_id>/<slug:kind>/", inbox_pages.thing_state, name="part-inbox-thing"),
    path("inbox/<uuid:execution_id>/<slug:kind>/<str:step_id>/", acts.act, name="inbox-thing"),
    path("inbox/assign/<uuid:execution_id>/<slug:kind>/<str:step_id>/", acts.assign, name="inbox-assign"),
    path(
        "inbox/parts/state/<uuid:execution_id>/<slug:kind>/<str:step_id>/",
        inbox_pages.thing_state,
        name="part-inbox-thing",
    ),
    path("parts/waiting/", shell.waiting_count, name="part-waiting"),
    path("documents/", document_pages.library, name="documents"),
    path("documents/parts/suggestions/", document_pages.suggestions, name="part-document-suggestions"),
    path("documents/parts/results/", document_pages.results, name="part-documents"),
    path("documents/new/", edit_pages.add, name="add-document"),
    path("documents/<uuid:document_id>/", document_pages.reader, name="document"),
    path("documents/<uuid:document_id>/again/", again_pages.make_again, name="make-again"),
    path("documents/<uuid:document_id>/compare/", document_pages.compare_versions, name="compare-versions"),
    path("documents/<uuid:document_id>/parts/versions/", document_pages.versions, name="part-document-versions"),
    path("documents/<uuid:document_id>/edit/", edit_pages.edit, name="edit-document"),
    path("documents/<uuid:document_id>/restore/", edit_pages.restore, name="restore-document"),
    path("documents/<uuid:document_id>/parts/newer/", edit_pages.newer_version, name="part-newer-version"),
    path("documents/<uuid:document_id>/comments/", comment_pages.add, name="add-comment"),
    path("documents/<uuid:document_id>/comments/<int:number>/", comment_pages.resolve, name="resolve-comment"),
    path("documents/<uuid:document_id>/parts/comments/", comment_pages.comments, name="part-comments"),
    path("documents/<uuid:document_id>/parts/passage/", comment_pages.passage, name="part-passage"),
    path("workflows/", include("console.workflows.urls")),
    path("executions/<uuid:execution_id>/steps/<str:step_id>/decision/", decision_pages.decide, name="decision"),
    path(
        "executions/<uuid:execution_id>/steps/<str:step_id>/decision/edit/",
        decision_pages.edit_and_accept,
        name="decision-edit",
    ),
    path(
        "executions/<uuid:execution_id>/steps/<str:step_id>/decision/parts/state/",
        decision_pages.state,
        name="part-decision-state",
    ),
]
