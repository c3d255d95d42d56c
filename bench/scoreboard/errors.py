"""What is wrong with the folder of data sets."""

from __future__ import annotations


class ScoreboardError(Exception):
    """One line: the file, the place in it, what is wrong and what is allowed."""
