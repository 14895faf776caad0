"""What the report of suite `public` says: public checkpoints against compute and against time on this machine."""
