"""What a model sees: patches, positions, attention, gradients."""
