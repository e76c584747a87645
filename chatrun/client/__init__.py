"""The Python client of chatrun's sessions."""
