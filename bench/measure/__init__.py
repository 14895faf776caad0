"""How one number is obtained. Here: models and their weights; below: counting, timing, scoring."""
