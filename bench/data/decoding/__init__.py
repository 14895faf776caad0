"""From stored bytes to squares of pixels, in processes, kept in a cache."""
