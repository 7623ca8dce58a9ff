"""Others that do the same work; each runs in a virtual environment of its own."""
