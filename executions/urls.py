"""URLs of the executions app. `progress.consumer` serves streams before Django."""

from __future__ import annotations

from django.urls import re_path
from rest_framework.routers import DefaultRouter

from common.api.views import UUID_PATTERN
from executions.api.bulk_views import BulkView
from executions.api.calls.views import CallViewSet
from executions.api.clarification_views import ClarificationViewSet
from executions.api.cost_views import ExecutionComparisonView, ExecutionCostsView, WorkflowStatsView
from executions.api.documents.exports import ExecutionExportView
from executions.api.documents.files import FileContentView, FilesView, FileView
from executions.api.documents.views import DocumentViewSet
from executions.api.estimate_views import EstimateView
from executions.api.inbox_views import InboxViewSet, StepAssignmentView, StepsBulkView
from executions.api.scopes.views import ScopeBudgetView, ScopeRetentionView, ScopesView, ScopeView
from executions.api.views import ExecutionViewSet, ScopeTicketView
from executions.api.workflows.views import WorkflowViewSet

router = DefaultRouter()
router.trailing_slash = "/?"
router.include_root_view = False
router.include_format_suffixes = False
router.register("executions", ExecutionViewSet, basename="execution")
router.register("documents", DocumentViewSet, basename="document")
router.register("workflows", WorkflowViewSet, basename="workflow")
router.register("clarifications", ClarificationViewSet, basename="clarification")
router.register("inbox", InboxViewSet, basename="inbox")
urlpatterns = [
    *router.urls,
    re_path(r"^executions/bulk/?$", BulkView.as_view(), name="execution-bulk"),
    re_path(r"^executions/compare/?$", ExecutionComparisonView.as_view(), name="execution-comparison"),
    re_path(r"^steps/bulk/?$", StepsBulkView.as_view(), name="steps-bulk"),
    re_path(
        rf"^executions/(?P<execution_id>{UUID_PATTERN})/steps/(?P<step_id>[^/]+)/assign/?$",
        StepAssignmentView.as_view(),
        name="step-assignment",
    ),
    re_path(
        rf"^executions/(?P<execution_id>{UUID_PATTERN})/export/?$",
        ExecutionExportView.as_view(),
        name="execution-export",
    ),
    re_path(
        rf"^executions/(?P<execution_id>{UUID_PATTERN})/calls/?$",
        CallViewSet.as_view({"get": "list"}),
        name="execution-calls",
    ),
    re_path(
        rf"^executions/(?P<execution_id>{UUID_PATTERN})/calls/(?P<call_id>{UUID_PATTERN})/?$",
        CallViewSet.as_view({"get": "retrieve"}),
        name="execution-call",
    ),
    re_path(
        rf"^telemetry/executions/(?P<execution_id>{UUID_PATTERN})/costs/?$",
        ExecutionCostsView.as_view(),
        name="execution-costs",
    ),
    re_path(
        r"^scopes/(?P<scope_type>[^/]+)/(?P<scope_id>(?s:.+))/stream-tickets/?$",
        ScopeTicketView.as_view(),
        name="scope-stream-tickets",
    ),
    re_path(r"^scopes/?$", ScopesView.as_view({"get": "list"}), name="scopes"),
    re_path(
        r"^scopes/(?P<scope_type>[^/]+)/(?P<scope_id>(?s:.+))/budget/?$", ScopeBudgetView.as_view(), name="scope-budget"
    ),
    re_path(
        r"^scopes/(?P<scope_type>[^/]+)/(?P<scope_id>(?s:.+))/retention/?$",
        ScopeRetentionView.as_view(),
        name="scope-retention",
    ),
    # The last of scopes: the key may contain slashes.
    re_path(
        r"^scopes/(?P<scope_type>[^/]+)/(?P<scope_id>(?s:.+))$",
        ScopeView.as_view({"get": "retrieve"}),
        name="scope-detail",
    ),
    re_path(r"^files/?$", FilesView.as_view(), name="files"),
    re_path(rf"^files/(?P<file_id>{UUID_PATTERN})/?$", FileView.as_view(), name="file-detail"),
    re_path(rf"^files/(?P<file_id>{UUID_PATTERN})/content/?$", FileContentView.as_view(), name="file-content"),
    re_path(r"^workflows/(?P<workflow_id>[a-z0-9-]+)/estimate/?$", EstimateView.as_view(), name="workflow-estimate"),
    re_path(
        r"^telemetry/workflows/(?P<workflow_id>[a-z0-9-]+)/stats/?$", WorkflowStatsView.as_view(), name="workflow-stats"
    ),
]
