"""`chatrun chat`: a conversation with a task in the terminal."""
