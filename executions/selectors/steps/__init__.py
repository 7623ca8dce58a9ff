"""Queries on the steps of one execution: counts, rows, items of collections, documents."""
