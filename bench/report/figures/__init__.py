"""Figures: what they plot, how they are drawn, and as files."""
