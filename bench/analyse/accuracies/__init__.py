"""One accuracy for all protocols, and how it is pooled from records."""
