"""People of scopes: their roles, and invitations."""
