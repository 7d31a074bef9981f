"""What is wrong with a configuration."""

from __future__ import annotations

from bnlint.errors import UserError


class SettingsError(UserError):
    """The configuration makes no sense; the text is a sentence for the user that names the file."""
