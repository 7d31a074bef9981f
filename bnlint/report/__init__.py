"""Output formats: each public module of this package is one and has ``render(report, style) -> str``."""
