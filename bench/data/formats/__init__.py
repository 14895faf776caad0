"""Formats of a user's own images; one row of `formats.FORMATS` each."""
