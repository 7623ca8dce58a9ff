"""The pages of staff and programmers in Chromium."""
