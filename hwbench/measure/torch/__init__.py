"""Networks run by torch on a CPU or GPU."""
