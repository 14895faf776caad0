"""Differences of models: between two, against the best, between two runs, within a budget."""
