"""The language of pages: which one it is, and how it writes numbers and dates."""
