"""Sentences, conditions and captions."""
