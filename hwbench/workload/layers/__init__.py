"""Layer kinds of network files, and the networks that they make."""
