"""Where sessions live: one contract, several stores."""
