"""What is said: the only code that touches reports/. Imports no torch."""
