"""The formats: each writes a book in its own way."""
