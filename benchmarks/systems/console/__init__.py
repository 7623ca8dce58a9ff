"""Pages of the console in a large installation."""
