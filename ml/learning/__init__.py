"""The loop of a week: answers become labels, rows of the mart a training set, and that a candidate."""
