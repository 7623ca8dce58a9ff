"""Pages of a user's own account: profile, password, tokens and sessions."""
