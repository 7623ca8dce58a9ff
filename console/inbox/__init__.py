"""The inbox: what waits for a person, and the forms with which they act on it."""
