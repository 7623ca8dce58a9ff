"""Executions in the admin: view and cancel. Steps, events, workers and jobs: view."""

from executions.admin import execution_pages, job_pages, step_pages

__all__ = ["execution_pages", "job_pages", "step_pages"]
