"""How good a model is, and which of two may score: every figure that a gate held against a bound is a row."""
