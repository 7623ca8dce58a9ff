"""Uploaded files: their bytes, their text, and who may see them."""
