"""Whether a day of the plant still looks as it did when its champion was trained."""
