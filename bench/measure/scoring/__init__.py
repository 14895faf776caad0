"""Top-1 and its like of a model on images."""
