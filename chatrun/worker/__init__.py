"""The other side of the wall: the process that runs the user's code, and who minds it."""
