"""What a live stream costs, beside others."""
