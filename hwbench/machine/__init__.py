"""What can be done: devices, microarchitectures and their theoretical peaks."""
