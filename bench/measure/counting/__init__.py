"""Multiply-adds by two counters, and the certificate that they agree."""
