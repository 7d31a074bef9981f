"""Text and JSON that every reader takes."""

from __future__ import annotations

import json
from typing import Any


def whole(text: str) -> str:
    """The text with ``?`` for half characters: file names can have them, UTF-8 and strict readers cannot."""
    return text.encode("utf-8", "replace").decode()


def dump(document: Any) -> str:
    """The document as JSON, in ASCII, without half characters."""
    return json.dumps(_whole(document), indent=2) + "\n"


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return whole(value)
    if isinstance(value, list):
        return [_whole(item) for item in value]
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    return value
