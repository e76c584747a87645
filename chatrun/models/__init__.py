"""Where answers come from: provider events to chunks, and messages back."""
