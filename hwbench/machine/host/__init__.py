"""The machine at hand, as its operating system describes it."""
