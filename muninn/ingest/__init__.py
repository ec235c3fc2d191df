"""From bytes at the door to committed rows: decode, validate, buffer, load."""
