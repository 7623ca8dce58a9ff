"""A client like any other: starts a server, runs a workflow on it over HTTP, and shows what came out."""
