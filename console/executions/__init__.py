"""Pages of executions that a document leads to, or that compare them."""
