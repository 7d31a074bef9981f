"""What bnlint says when it cannot do what it was asked to."""

from __future__ import annotations


class UserError(Exception):
    """bnlint cannot do what it was asked to; the text is a sentence for the user: what, where, and what to do."""
