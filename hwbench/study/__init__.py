"""What it means: studies over workloads, devices and measurements."""
