"""Makes images from Dockerfiles without Docker and without a registry: see kind-e2e/images."""

# 2023-11-14. Nothing in an image is younger, so that the same inputs give the same bytes whenever it is made.
EPOCH = 1700000000


class Failed(Exception):
    """What went wrong, where, and what to do."""
