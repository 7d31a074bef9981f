"""bnlint finds batch-normalization misuse in deep-learning code."""

__version__ = "0.1.0"
