"""The pages of one execution in Chromium."""
