"""The command line: options, output and progress around the commands."""
