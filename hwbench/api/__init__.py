"""What a user does: the questions of the command line as functions, for Python and for the commands alike."""
