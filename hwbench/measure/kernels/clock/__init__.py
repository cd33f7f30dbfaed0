"""The clock under load, by a chain of dependent integer operations."""
