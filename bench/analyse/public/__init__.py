"""Public checkpoints: published accuracies joined with counts and with times on this machine, measured or estimated."""
