"""The table that the parts of the framework fill: what each call and each attribute means."""

from __future__ import annotations

from bnlint.frameworks.library import Handler

HANDLERS: dict[str, Handler] = {}
PROPERTIES: dict[str, Handler] = {}
