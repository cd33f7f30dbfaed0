"""One file a command: options, one call of the API, rendering."""
