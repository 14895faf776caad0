"""A set of labelled images: its splits, its classes, its fingerprint, and how it is opened by name."""
