"""Code actions: fixes, and comments that suppress findings."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsprotocol import types

from bnlint.findings import Applicability, Finding, Fix
from bnlint.fixes import Change, repair
from bnlint.fixes.ignores import suppressing
from bnlint.server.analysis import Analysis, Project
from bnlint.server.convert import Converter, findings_at
from bnlint.server.workspace import Key
from bnlint.source.files import Files

if TYPE_CHECKING:
    from bnlint.server.service import Service

log = logging.getLogger("bnlint.server")

FIX_ALL = "source.fixAll.bnlint"
KINDS = (types.CodeActionKind.QuickFix, FIX_ALL)

_ALL_SAFE = "Apply all safe fixes of bnlint"
_CHANGES_THE_MODEL = "changes how the model trains or infers"


async def offered(service: Service, params: types.CodeActionParams) -> list[types.CodeAction]:
    """The actions for a range of a document."""
    found = await service.current(params.text_document.uri)
    if found is None:
        return []
    _, analysis, converter = found
    key = analysis.snapshot.keys.get(params.text_document.uri)
    if key is None:
        return []
    only = params.context.only
    actions: list[types.CodeAction] = []
    if _chosen(types.CodeActionKind.QuickFix, only):
        if findings_at(analysis, converter, key, params.range):
            actions += await service.in_thread(lambda: _quick_fixes(analysis, converter, key, params.range))
    if _chosen(FIX_ALL, only) and _has_safe_fix(analysis, converter, key[0]):
        action = types.CodeAction(_ALL_SAFE, kind=FIX_ALL, data=params.text_document.uri)
        if service.client.lazy_edits:
            actions.append(action)
        elif only is not None:
            # Trying the fixes out takes as long as several analyses, so it must have been asked for.
            actions.append(await completed(service, action))
    return actions


async def completed(service: Service, action: types.CodeAction) -> types.CodeAction:
    """The action that applies all safe fixes, with its edit; other actions have theirs already."""
    uri = action.data
    if not isinstance(uri, str):
        return action
    found = await service.current(uri)
    if found is None:
        return action
    project, analysis, converter = found
    key = analysis.snapshot.keys.get(uri)
    if key is None:
        return action
    action.edit = await service.in_thread(lambda: _repaired(project, analysis, converter, key[0]))
    return action


def _chosen(kind: str, only: Iterable[str] | None) -> bool:
    return only is None or any(kind == wanted or kind.startswith(f"{wanted}.") for wanted in only)


def _quick_fixes(
    analysis: Analysis, converter: Converter, key: Key, span: types.Range
) -> list[types.CodeAction]:
    if any(_can_be_applied(finding.fix) for finding in findings_at(analysis, converter, key, span)):
        try:
            analysis.resolve()
        except Exception:  # the finding can still be suppressed
            log.exception("The fixes could not be worked out.")
    # Only now, because findings with text for their fixes have taken the places of those without.
    there = findings_at(analysis, converter, key, span)
    return [*_fixing(converter, there), *_silencing(analysis, converter, there)]


def _can_be_applied(fix: Fix | None) -> bool:
    return fix is not None and bool(fix.edits) and fix.applicability is not Applicability.DISPLAY


def _fixing(converter: Converter, findings: Iterable[Finding]) -> Iterator[types.CodeAction]:
    """An action for each fix that can be applied."""
    for finding in findings:
        fix = finding.fix
        if fix is None or not fix.replacements or not _can_be_applied(fix):
            continue
        title = fix.message[:1].upper() + fix.message[1:]
        safe = fix.applicability is Applicability.SAFE
        yield types.CodeAction(
            title if safe else f"{title} ({_CHANGES_THE_MODEL})",
            kind=types.CodeActionKind.QuickFix,
            diagnostics=[converter.diagnostic(finding)],
            is_preferred=safe or None,
            edit=converter.replaced(fix.replacements),
        )


def _silencing(
    analysis: Analysis, converter: Converter, findings: Iterable[Finding]
) -> Iterator[types.CodeAction]:
    """An action for each finding that puts a comment into the code."""
    files = Files(analysis.snapshot.overlay)
    for finding in findings:
        texts = list(_texts(suppressing([finding], "", files).changes))
        if texts:
            yield types.CodeAction(
                f"Suppress {finding.code} here",
                kind=types.CodeActionKind.QuickFix,
                diagnostics=[converter.diagnostic(finding)],
                edit=converter.rewritten(texts),
            )


def _has_safe_fix(analysis: Analysis, converter: Converter, path: Path) -> bool:
    return any(
        finding.fix is not None
        and finding.fix.applicability is Applicability.SAFE
        and converter.key(finding.location)[0] == path
        for finding in analysis.report.findings
    )


def _repaired(project: Project, analysis: Analysis, converter: Converter, path: Path) -> types.WorkspaceEdit:
    """All safe fixes of a file at once, tried out on the whole program."""
    report = analysis.report
    there = [finding for finding in report.findings if converter.key(finding.location)[0] == path]
    outcome = repair(
        replace(report, findings=there),
        lambda overlay: project.check_again(analysis, overlay),
        files=Files(analysis.snapshot.overlay),
    )
    return converter.rewritten(_texts(outcome.changes))


def _texts(changes: Mapping[Path, Change]) -> Iterator[tuple[Key, str]]:
    """The new texts of the files and cells that change."""
    for path, change in changes.items():
        if path.suffix != ".ipynb":
            yield (path, None), change.after.decode("utf-8-sig", "replace")
            continue
        before, after = _cells(change.before), _cells(change.after)
        for number, (old, new) in enumerate(zip(before, after, strict=True), 1):
            if old != new:
                yield (path, number), new


def _cells(data: bytes) -> list[str]:
    cells: list[dict[str, Any]] = json.loads(data)["cells"]
    return ["".join(cell["source"]) for cell in cells]
