"""What was done: microbenchmarks of this machine, their harness, and the records of their runs."""
