"""The report as one interactive, self-contained page."""
