"""The look at every image before anything is trained on it."""
