"""Conditions of a measurement: machine, software, load."""
