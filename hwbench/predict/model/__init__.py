"""The time model: launches of a network on hardware, as formulas of shapes."""
