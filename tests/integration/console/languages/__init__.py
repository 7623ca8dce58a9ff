"""Pages in the languages of people."""
