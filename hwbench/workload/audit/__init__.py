"""Other counters beside ours, and what explains the differences."""
