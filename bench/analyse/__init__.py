"""What follows from stored records: accuracies, differences with intervals, speeds, claims. Imports no torch."""
