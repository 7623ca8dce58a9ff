"""Endpoints of scopes: roots with counts, child scopes, monthly budgets."""
