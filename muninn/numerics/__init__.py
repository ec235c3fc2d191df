"""Pure maths used by rollups, reads and the brains: arrays in, arrays out. No I/O, no settings, no clock."""
