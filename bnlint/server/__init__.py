"""The language server: what editors ask, answered with the same findings as ``bnlint check``."""
