"""What is remembered: the only code that touches results/."""
