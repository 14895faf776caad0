"""Public data sets as they are distributed."""
