"""Parameters of the time model fitted to measured times."""
