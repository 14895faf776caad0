"""Where cells run: the queue, worker processes, conditions, resuming."""
