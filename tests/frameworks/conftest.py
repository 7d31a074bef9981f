"""The same helpers as in ``tests/interpreter``."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

_PATH = Path(__file__).parent.parent / "interpreter" / "conftest.py"
_SPEC = importlib.util.spec_from_file_location("interpreter_helpers", _PATH)
assert _SPEC is not None and _SPEC.loader is not None
_HELPERS = importlib.util.module_from_spec(_SPEC)
sys.modules[_SPEC.name] = _HELPERS
_SPEC.loader.exec_module(_HELPERS)

workshop = _HELPERS.workshop
program = _HELPERS.program
phases = _HELPERS.phases
