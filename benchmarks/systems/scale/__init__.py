"""Calls by the thousand, and the time of summing them up."""
