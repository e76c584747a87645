"""chatrun: one async function becomes a durable chat backend."""

__version__ = "0.1.0"
