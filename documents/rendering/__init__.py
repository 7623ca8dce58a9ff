"""Documents as Markdown, HTML, DOCX and PDF: pure functions, with the same bytes for the same input."""
