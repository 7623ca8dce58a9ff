"""Formats of German."""
