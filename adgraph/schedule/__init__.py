"""When each node is computed and where its results lie: begin with `schedule.py`."""
