"""What a run does; knows no HTTP, no files, no terminal."""
