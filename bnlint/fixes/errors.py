"""Why an edit is not made."""

from __future__ import annotations


class EditError(Exception):
    """The edit cannot be made; the text is a clause for the user that says why."""
