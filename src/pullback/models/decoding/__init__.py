"""How a decoder is taken in: looked at, copied, prepared, and its output read."""
