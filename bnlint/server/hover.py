"""Hovering: the pages of the rules that found something on a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lsprotocol import types

from bnlint.server.convert import findings_at

if TYPE_CHECKING:
    from bnlint.server.service import Service


async def pages_at(service: Service, params: types.HoverParams) -> types.Hover | None:
    """For each rule that found something on the line: what it found, what can be done, and the rule's page."""
    found = await service.current(params.text_document.uri)
    if found is None:
        return None
    _, analysis, converter = found
    key = analysis.snapshot.keys.get(params.text_document.uri)
    if key is None:
        return None
    there = findings_at(analysis, converter, key, types.Range(params.position, params.position))
    if not there:
        return None
    parts: dict[str, list[str]] = {}
    for finding in there:
        said = parts.setdefault(finding.code, [])
        said.append(f"**{finding.code}** {finding.message}")
        if finding.fix is not None:
            said.append(f"{finding.fix.applicability.value} fix: {finding.fix.message}")
    text = "\n\n---\n\n".join(
        "\n\n".join((*said, analysis.page(code))).strip() for code, said in parts.items()
    )
    kind = types.MarkupKind.Markdown if service.client.markdown else types.MarkupKind.PlainText
    return types.Hover(types.MarkupContent(kind, text), range=converter.range(there[0].location))
