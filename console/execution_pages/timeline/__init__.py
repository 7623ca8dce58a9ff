"""The tab with the times of an execution and its log."""
