"""What can go wrong in a measurement."""


class Failed(Exception):
    """The measurement could not be made; the message says why in one line."""


class Slow(Exception):
    """Not done within the limit; the message stands in the table in place of a number."""
