"""Routes, tokens, sessions and live streams; never the user's code."""
