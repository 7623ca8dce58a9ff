"""Pages of scopes: the list, one scope with its people and its budget, and the audit log."""
