"""Calls to models: what they cost, what was sent, what came back, and the budget that limits them."""
