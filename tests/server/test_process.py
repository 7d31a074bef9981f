"""The server as a process: how it starts, what it survives, and how it ends."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types
from pygls.exceptions import JsonRpcRequestCancelled

from .conftest import Editor
from .programs import LINE, TRAIN, write

Drive = Callable[..., None]

WITHOUT_PYGLS = """
import sys
sys.modules["pygls"] = None
from bnlint.cli import main
sys.exit(main(["server"]))
"""
CRASHING = """
import sys
from bnlint.check import Checker
from bnlint.cli import main
check, seen = Checker.check, []
def fail_once(self, *arguments, **keywords):
    print("this must not get between the messages")
    seen.append(None)
    if len(seen) == 1:
        raise RuntimeError("a bug of bnlint")
    return check(self, *arguments, **keywords)
Checker.check = fail_once
sys.exit(main(["server"]))
"""
WITHOUT_FIXES = """
import sys, bnlint.fixes
from bnlint.cli import main
def fail(report, files):
    raise RuntimeError("a bug of bnlint")
bnlint.fixes.resolve = fail
sys.exit(main(["server"]))
"""


def test_without_pygls_it_says_what_to_install(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_PYGLS], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert "pip install 'bnlint[lsp]'" in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_a_failing_analysis_ends_nothing(tmp_path: Path, drive: Drive) -> None:
    _, train = write(tmp_path)

    async def scenario(editor: Any) -> None:
        uri = editor.open(train)
        assert await editor.actions(uri, LINE) == []
        editor.type(uri, f"\n{TRAIN}")
        assert len(await editor.diagnostics(uri)) == 1

    drive(scenario, command=("-c", CRASHING))


def test_failing_fixes_leave_the_other_actions(tmp_path: Path, drive: Drive) -> None:
    _, train = write(tmp_path)

    async def scenario(editor: Any) -> None:
        uri = editor.open(train)
        await editor.diagnostics(uri)
        assert [one.title for one in await editor.actions(uri, LINE, ["quickfix"])] == ["Suppress BN101 here"]

    drive(scenario, command=("-c", WITHOUT_FIXES))


def test_the_exit_code_tells_whether_the_client_said_goodbye(tmp_path: Path) -> None:
    async def leave() -> int:
        editor = Editor()
        await editor.start(tmp_path)
        editor.client.exit(None)
        return await editor.exit_code()

    assert asyncio.run(leave()) == 1


def test_it_ends_when_the_client_is_gone(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bnlint", "server"],
        stdin=subprocess.DEVNULL,
        cwd=tmp_path,
        capture_output=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (1, b"")


WAITING = """
import sys, time
from pathlib import Path
from bnlint.check import Checker
from bnlint.cli import main
check = Checker.check
def wait(self, *arguments, **keywords):
    while not Path("go").exists():
        time.sleep(0.01)
    return check(self, *arguments, **keywords)
Checker.check = wait
sys.exit(main(["server"]))
"""


def test_it_answers_while_it_analyses(tmp_path: Path, drive: Drive) -> None:
    _, train = write(tmp_path)

    async def scenario(editor: Any) -> None:
        uri = editor.open(train)
        # The analysis cannot end before the answer: it waits for a file that is made after it.
        assert await editor.hover("file:///unknown.py", 0) is None
        assert editor.shown(uri) is None
        (tmp_path / "go").touch()
        assert len(await editor.diagnostics(uri)) == 1

    drive(scenario, command=("-c", WAITING))


def test_a_question_that_is_taken_back(tmp_path: Path, drive: Drive) -> None:
    _, train = write(tmp_path)

    async def scenario(editor: Any) -> None:
        uri = editor.open(train)
        params = types.HoverParams(types.TextDocumentIdentifier(uri), types.Position(LINE, 0))
        asked = editor.client.protocol.send_request_async(types.TEXT_DOCUMENT_HOVER, params, msg_id="mine")
        editor.client.cancel_request(types.CancelParams("mine"))
        with pytest.raises(JsonRpcRequestCancelled):
            await asked
        (tmp_path / "go").touch()
        assert len(await editor.actions(uri, LINE, ["quickfix"])) == 2

    drive(scenario, command=("-c", WAITING))


COUNTING = """
import sys, time
from pathlib import Path
from bnlint.check import Checker
from bnlint.cli import main
check, running = Checker.check, []
def wait(self, *arguments, **keywords):
    if running:
        Path("overlap").touch()
    running.append(None)
    while not Path(f"go{wait.number}").exists():
        time.sleep(0.01)
    wait.number += 1
    try:
        return check(self, *arguments, **keywords)
    finally:
        running.pop()
wait.number = 1
Checker.check = wait
sys.exit(main(["server"]))
"""


def test_work_that_is_taken_back_is_not_overtaken(tmp_path: Path, drive: Drive) -> None:
    _, train = write(tmp_path)
    (tmp_path / "go1").touch()

    async def scenario(editor: Any) -> None:
        uri = editor.open(train)
        await editor.diagnostics(uri)
        (action,) = await editor.actions(uri, LINE, ["source.fixAll"])
        asked = editor.client.protocol.send_request_async(types.CODE_ACTION_RESOLVE, action, msg_id="mine")
        assert await editor.hover("file:///unknown.py", 0) is None
        editor.client.cancel_request(types.CancelParams("mine"))
        with pytest.raises(JsonRpcRequestCancelled):
            await asked
        editor.type(uri, f"\n{TRAIN}")
        await asyncio.sleep(0.5)
        for number in range(2, 6):
            (tmp_path / f"go{number}").touch()
        assert len(await editor.diagnostics(uri)) == 1
        assert not (tmp_path / "overlap").exists()

    drive(scenario, command=("-c", COUNTING))


def test_it_does_not_wait_for_an_analysis_when_the_client_leaves(tmp_path: Path, drive: Drive) -> None:
    _, train = write(tmp_path)

    async def scenario(editor: Any) -> None:
        editor.open(train)
        assert await editor.hover("file:///unknown.py", 0) is None

    drive(scenario, command=("-c", WAITING))
