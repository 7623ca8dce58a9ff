"""The page of costs: sums by day and group, budgets, a forecast, and the executions behind a sum."""
