"""Prepared examples, for pages that start them."""
