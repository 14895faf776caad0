"""Sections: heading, text, table and figures of one subject."""
