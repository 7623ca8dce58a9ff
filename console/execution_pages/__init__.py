"""The pages of one execution: its tabs, and what a person can do with it."""
