"""Tables from rows and columns."""
