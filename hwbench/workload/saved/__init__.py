"""Traced workloads as files, the shipped ones among them."""
