"""UI messages: from chunks to parts, from parts to what a model reads."""
