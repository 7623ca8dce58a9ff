"""How fast, beside others, on one machine and in one run."""
