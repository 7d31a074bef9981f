"""The page in a real browser, where Chromium is installed; otherwise these tests say that they were skipped."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from html import escape, unescape
from pathlib import Path
from typing import Any

import pytest

from bnlint.findings import Report
from bnlint.runtime.pages import page

from .samples import broken, deep, empty, healthy, hostile, verification

BROWSER = next(
    filter(
        None,
        map(
            shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome", "chrome-headless-shell")
        ),
    ),
    None,
)
pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="there is no Chromium here; the page was only read by a parser (test_page.py)"
)

# Around the page, which has no script of its own: opens everything, and measures what a reader would stumble over.
LOOK = """
<iframe id="page" style="border: 0; width: {width}px; height: 900px" srcdoc="{page}"></iframe>
<pre id="result"></pre>
<script>
const parts = colour => colour.match(/[\\d.]+/g).map(Number);
const light = colour => {{
  const [r, g, b] = parts(colour).slice(0, 3).map(x => x / 255).map(
    x => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}};
const contrast = (one, other) => {{
  const [low, high] = [light(one), light(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}};
document.getElementById("page").onload = event => {{
  const view = event.target.contentWindow, inside = view.document;
  for (const part of inside.querySelectorAll("details")) part.open = true;
  const ground = element => {{
    for (; element; element = element.parentElement) {{
      const colour = view.getComputedStyle(element).backgroundColor, shown = parts(colour);
      if (shown.length < 4 || shown[3] > 0) return colour;
    }}
    return "rgb(255, 255, 255)";
  }};
  const pale = [];
  const walker = inside.createTreeWalker(inside.body, NodeFilter.SHOW_TEXT);
  let texts = 0;
  while (walker.nextNode()) {{
    const element = walker.currentNode.parentElement, style = view.getComputedStyle(element);
    if (!walker.currentNode.data.trim()) continue;
    texts++;
    const colour = element instanceof view.SVGElement ? style.fill : style.color;
    const seen = contrast(colour, ground(element));
    if (seen < 4.5) pale.push([walker.currentNode.data.trim().slice(0, 30), colour, ground(element), seen]);
  }}
  const empty = [...inside.querySelectorAll("svg")].filter(picture => {{
    const box = picture.getBoundingClientRect();
    return box.width < 40 || box.height < 15 || box.width > view.innerWidth;
  }}).length;
  const stray = [...inside.querySelectorAll("svg text")].filter(text => {{
    const box = text.getBoundingClientRect(), around = text.ownerSVGElement.getBoundingClientRect();
    return box.left < around.left - 8 || box.right > around.right + 8;
  }}).map(text => text.textContent);
  document.getElementById("result").textContent = JSON.stringify({{
    heading: inside.querySelector("h1").textContent,
    headingTop: inside.querySelector("h1").getBoundingClientRect().bottom + view.scrollY,
    overflow: inside.documentElement.scrollWidth - view.innerWidth,
    loaded: view.performance.getEntriesByType("resource").map(entry => entry.name),
    dark: light(view.getComputedStyle(inside.body).backgroundColor) < 0.2,
    pictures: inside.querySelectorAll("svg").length,
    attacked: Boolean(view.attacked || inside.querySelector("img, script")),
    texts, pale, empty, stray,
  }});
}};
</script>
"""
SAMPLES = [broken, healthy, deep, empty, hostile, verification]


def rendered(sample: Any) -> str:
    made = sample()
    return page.render(*made) if isinstance(made, tuple) else page.render(made, Report())


def look(text: str, folder: Path, *, width: int, dark: bool) -> dict[str, Any]:
    """What the browser makes of the page."""
    outer = folder / "outer.html"
    outer.write_text(f"<!DOCTYPE html>{LOOK.format(width=width, page=escape(text))}", encoding="utf-8")
    assert BROWSER is not None
    made = subprocess.run(
        [
            BROWSER,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            f"--user-data-dir={folder / 'profile'}",
            f"--blink-settings=preferredColorScheme={0 if dark else 1}",
            "--window-size=1400,1000",
            "--virtual-time-budget=5000",
            "--dump-dom",
            outer.as_uri(),
        ],
        capture_output=True,
        timeout=120,
        check=True,
        env={**os.environ, "HOME": str(folder)},
    )
    found = re.search(r'<pre id="result">(.+?)</pre>', made.stdout.decode("utf-8"), re.DOTALL)
    assert found, made.stderr.decode("utf-8", "replace")[-2000:]
    result: dict[str, Any] = json.loads(unescape(found[1]))
    return result


@pytest.mark.parametrize(("width", "dark"), [(1200, False), (390, False), (1200, True)])
@pytest.mark.parametrize("sample", SAMPLES)
def test_readable(sample: Any, width: int, dark: bool, tmp_path: Path) -> None:
    text = rendered(sample)
    seen = look(text, tmp_path, width=width, dark=dark)
    assert seen["dark"] is dark
    assert seen["overflow"] <= 0, "the page scrolls sideways"
    assert seen["pale"] == [], "text with too little contrast"
    assert seen["empty"] == 0, "pictures that are too small or too wide"
    assert seen["stray"] == [], "words that stick out of their picture"
    assert seen["loaded"] == [], "the page asks for something else"
    assert not seen["attacked"]
    assert seen["pictures"] == text.count("<svg ")
    # The verdict is on the first screen.
    assert seen["headingTop"] < 800
    assert seen["heading"].rstrip(".") and seen["texts"] > 5
