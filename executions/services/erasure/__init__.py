"""Erasing: executions, what is older than it is kept, and persons."""
