"""Changes as a unified diff."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from pathlib import Path

from bnlint.fixes import Change
from bnlint.source.discover import display_path

_CONTEXT = 3


def unified_diff(changes: Mapping[Path, Change]) -> str:
    """The changes, file by file, as ``git apply`` takes them."""
    return "".join(
        line for path, change in sorted(changes.items()) for line in _file(display_path(path), change)
    )


def _file(path: str, change: Change) -> Iterator[str]:
    before, after = _lines(change.before), _lines(change.after)
    yield f"--- {_name(f'a/{path}')}\n"
    yield f"+++ {_name(f'b/{path}')}\n"
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    for group in matcher.get_grouped_opcodes(_CONTEXT):
        first, last = group[0], group[-1]
        yield f"@@ -{_range(first[1], last[2])} +{_range(first[3], last[4])} @@\n"
        for tag, start, end, new_start, new_end in group:
            if tag == "equal":
                yield from _marked(" ", before[start:end])
                continue
            yield from _marked("-", before[start:end])
            yield from _marked("+", after[new_start:new_end])


def _name(path: str) -> str:
    """A path as Git writes it: quoted if it has to be, and with a tab behind it if it has spaces."""
    if any(character in '"\\' or ord(character) < ord(" ") for character in path):
        return '"' + "".join(map(_escaped, path)) + '"'
    return f"{path}\t" if " " in path else path


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    return f"\\{ord(character):03o}" if ord(character) < ord(" ") else character


def _marked(mark: str, lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        yield f"{mark}{line}" if line.endswith("\n") else f"{mark}{line}\n\\ No newline at end of file\n"


def _range(start: int, end: int) -> str:
    length = end - start
    begin = start + 1 if length else start
    return str(begin) if length == 1 else f"{begin},{length}"


def _lines(data: bytes) -> list[str]:
    # Only the line feed ends a line of a diff. Bytes that are not UTF-8 come out as they went in.
    text = data.decode("utf-8", "surrogateescape")
    return [f"{line}\n" for line in text.split("\n")[:-1]] + (
        [text.rsplit("\n", 1)[-1]] if text and not text.endswith("\n") else []
    )
