"""The page, as a strict parser reads it. ``test_browser`` looks at it in a browser, where there is one."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any
from xml.etree.ElementTree import Element

import html5lib
import pytest

from bnlint.findings import Location, Report
from bnlint.runtime.observed import Figures
from bnlint.runtime.oracle import Verification
from bnlint.runtime.pages import page

from .samples import HOSTILE, RULES, broken, deep, empty, healthy, hostile, verification

SAMPLES = [broken, healthy, deep, empty, hostile]


def parsed(text: str) -> Element:
    """The document; fails on the first mistake in it."""
    return html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(text)


def words(element: Element) -> str:
    return " ".join("".join(element.itertext()).split())


def only(root: Element, path: str) -> Element:
    (found,) = root.findall(path)
    return found


@pytest.mark.parametrize("sample", SAMPLES)
def test_valid_and_the_same_each_time(sample: Any) -> None:
    text = page.render(*sample())
    assert text == page.render(*sample())
    root = parsed(text)
    identifiers = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(set(identifiers)) == len(identifiers)
    targets = {link.get("href", "")[1:] for link in root.iter("a") if link.get("href", "").startswith("#")}
    assert targets - {"layers"} <= set(identifiers)


def test_what_a_stranger_reads_first() -> None:
    root = parsed(page.render(*broken()))
    assert words(only(root, ".//h1")) == (
        "Both batch-norm layers never learned their statistics: after 3,001 training steps they still hold the values "
        "they started with."
    )
    assert words(only(root, ".//title")) == "Broken: train.py – bnlint"
    headings = [words(heading) for heading in root.iter() if heading.tag in ("h1", "h2", "h3")]
    assert headings[1:5] == ["What is wrong, and why it matters", "The layers", "BatchNorm", "BatchNorm_1"]
    why = [words(item) for item in only(root, ".//ul[@class='why']").iter("li")]
    assert why[0].startswith(
        "✗ broken BatchNorm and BatchNorm_1 never learned their statistics. Training looks fine"
    )
    assert why[1].startswith("✗ broken BatchNorm and BatchNorm_1 are left out when the model is evaluated.")


def test_the_finding_with_its_source_and_the_rule_collapsed() -> None:
    root = parsed(page.render(*broken()))
    article = only(root, ".//article[@id='BN101']")
    assert [words(mark) for mark in article.iter("mark")] == [
        "tf.train.GradientDescentOptimizer(0.5).minimize(loss)",
        "tf.contrib.layers.batch_norm(images)",
        "tf.contrib.layers.batch_norm(hidden)",
    ]
    assert "What to do: Fix (changes the model): build the train step under" in words(article)
    rule = only(article, ".//details[@class='rule']")
    assert rule.get("open") is None
    assert "Why it is bad" in words(rule)
    assert len(rule.findall(".//table")) == 1


def test_pictures_of_broken_layers_are_open_and_of_healthy_ones_closed() -> None:
    root = parsed(page.render(*deep()))
    articles = [article for article in root.iter("article") if (article.get("id") or "").startswith("layer-")]
    assert [words(only(article, ".//h3")) for article in articles] == ["resnet/stage2/unit9/bn"]
    pictures = list(articles[0].iter("{http://www.w3.org/2000/svg}svg"))
    assert len(pictures) == 2
    assert "At the last one the moving mean is 0 and that of the batch" in (
        pictures[0].get("aria-label") or ""
    )
    closed = [part for part in root.iter("details") if part.get("class") == "card"]
    assert closed and all(part.get("open") is None for part in closed)


def test_accessible() -> None:
    for sample in SAMPLES:
        root = parsed(page.render(*sample()))
        assert only(root, ".").get("lang") == "en"
        for picture in root.iter("{http://www.w3.org/2000/svg}svg"):
            assert picture.get("role") == "img"
            assert len(picture.get("aria-label") or "") > 20
        for table in root.iter("table"):
            if table.find("thead") is not None:
                assert all(header.get("scope") for header in table.iter("th"))
        levels = [int(heading.tag[1]) for heading in root.iter() if re.fullmatch("h[1-6]", str(heading.tag))]
        assert levels[0] == 1 and levels.count(1) == 1
        assert all(after <= before + 1 for before, after in pairwise(levels))
        for box in root.iter("div"):
            if box.get("class") in ("scroll", "code"):
                # Who has no mouse must be able to scroll it.
                assert box.get("tabindex") == "0" and box.get("aria-label")


@pytest.mark.parametrize("sample", SAMPLES)
def test_needs_nothing_else(sample: Any) -> None:
    text = page.render(*sample())
    root = parsed(text)
    assert not [
        element.tag for element in root.iter() if element.tag in ("script", "link", "img", "iframe", "object")
    ]
    policy = only(root, ".//meta[@http-equiv='Content-Security-Policy']").get("content") or ""
    assert policy.startswith("default-src 'none'")
    for element in root.iter():
        for name, value in element.attrib.items():
            assert not name.startswith("on"), element.tag
            if name.endswith(("href", "src")):
                outside = value.startswith(("http://", "https://")) and element.tag == "a"
                assert value.startswith("#") or outside, value
    assert "@import" not in text and "url(http" not in text


def test_everything_from_the_program_is_text() -> None:
    text = page.render(*hostile())
    root = parsed(text)
    shown = HOSTILE.replace("\x1b", "?")
    assert "<img" not in text and "\x1b" not in text and "javascript:" not in re.sub(r">[^<]*<", "><", text)
    assert shown in words(root)
    for name in (f"{shown}BatchNorm", f"{shown}.py:7"):
        assert name in words(root)


def test_two_hundred_layers_are_small() -> None:
    text = page.render(*deep(200, 23))
    assert len(text.encode()) < 2_000_000
    assert len(parsed(text).findall(".//tbody/tr")) >= 200
    seen, report = deep(200)
    for passage in seen.runs[0].passages:
        passage.moved = False
    text = page.render(seen, report)
    assert len(text.encode()) < 2_000_000
    assert words(only(parsed(text), ".//h1")).startswith("All 200 batch-norm layers never learned")


def test_without_histories_and_figures() -> None:
    seen, report = broken()
    for layer in seen.layers:
        layer.track = []
    assert "Crosses: the moving statistics." in page.render(seen, report)
    for layer in seen.layers:
        layer.last_mean = None
    assert "Moving statistics off those of the batches" in page.render(seen, report)
    for layer in seen.layers:
        layer.history, layer.train_sample, layer.divergence = [], [], None
    text = page.render(seen, report)
    parsed(text)
    assert "<svg" not in text


def test_figures_that_are_not_finite() -> None:
    seen, report = broken()
    nothing = float("nan")
    layer = seen.layers[0]
    layer.track = [(0, nothing, 0.0, 1.0, 1.0), (1, 0.0, float("inf"), 1.0, 1.0)]
    layer.history = [(0, nothing, 1.0)]
    layer.train_sample[:2], layer.divergence = [nothing, float("inf")], nothing
    layer.last_mean = layer.last_variance = Figures(nothing, nothing, nothing, [nothing] * 8)
    assert "not a number" in words(parsed(page.render(seen, report)))


def test_verification() -> None:
    text = page.render(verification(), Report(rules=RULES), title="model.build")
    root = parsed(text)
    assert (
        words(only(root, ".//h1")) == "1 of 3 batch-norm layers does not learn its statistics as it should."
    )
    rows = [list(map(words, row)) for row in root.findall(".//section[@aria-labelledby='checks']//tbody/tr")]
    assert [row[2] for row in rows] == ["PASS"] * 2 + ["FAIL"] + ["PASS"] * 7 + ["SKIP", "PASS"]
    assert rows[2][3] == "block2/bn: A training step left the moving statistics where they were. BN101"
    assert rows[10][3] == "no layer is declared frozen"
    (about,) = root.findall(".//section[@aria-labelledby='rules']/details")
    assert about.get("id") == "BN101" and "The moving statistics stay where they began." in words(about)
    assert root.find(".//a[@href='#BN101']") is not None
    parsed(page.render(Verification(), Report()))


def test_sources_that_cannot_be_read() -> None:
    class Nothing:
        def lines(self, location: Location) -> list[str]:
            return []

    text = page.render(*broken(), sources=Nothing())
    parsed(text)
    assert "<mark>" not in text


def test_a_date_only_if_it_is_given() -> None:
    assert "2026-01-02" in page.render(*empty(), date="2026-01-02")
    assert not re.search(r"\b20\d\d-\d\d", page.render(*empty()))
