"""`chatrun dev` and `chatrun serve` put together."""
