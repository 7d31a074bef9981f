"""One file per rule; imported as ``bnlint.rules``."""
