"""Documents and files over HTTP."""
