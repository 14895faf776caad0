"""Which tasks of cells measure times, and which are taken on a quiet machine."""

TIMED_TASKS = ("speed", "training_step")  # whose numbers are times
TIMING_TASKS = (*TIMED_TASKS, "memory", "training_memory", "largest_batch")  # those, and whose numbers are bytes
