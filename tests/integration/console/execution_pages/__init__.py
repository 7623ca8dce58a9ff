"""Pages of one execution."""
