"""Claims on ViTs and CNNs, judged by published numbers and by records."""
