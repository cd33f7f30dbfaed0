"""What people look at: text, files for other programs, and the HTML page."""
