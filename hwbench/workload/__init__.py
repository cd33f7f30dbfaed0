"""What must be done: networks as ops with their operations, parameters and traffic."""
