"""Values and codecs of the wire; no I/O."""
