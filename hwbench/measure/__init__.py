"""What was done: measurements with every sample, their conditions and their records."""
