"""Intervals and proportions."""
