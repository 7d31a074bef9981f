"""The names that NumPy had when such scripts were written."""

from __future__ import annotations


def install() -> None:
    """Add those that are missing."""
    try:
        import numpy
    except ImportError:
        return
    gone = {
        "bool": bool,
        "complex": complex,
        "float": float,
        "int": int,
        "long": int,
        "object": object,
        "str": str,
        "unicode": str,
        "float_": numpy.float64,
        "Inf": numpy.inf,
        "Infinity": numpy.inf,
        "NaN": numpy.nan,
        "alltrue": numpy.all,
        "cumproduct": numpy.cumprod,
        "product": numpy.prod,
        "sometrue": numpy.any,
        "asscalar": lambda a: a.item(),
    }
    for name, value in gone.items():
        # NumPy has a hint in place of each; asking for it would warn.
        if name not in vars(numpy):
            setattr(numpy, name, value)
