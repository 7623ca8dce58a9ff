"""The content of a document as a tree of blocks, by its schema or by a template."""
