"""Windows of a size, as pages are tested in."""

from __future__ import annotations

from playwright.sync_api import Page

DRAWN = "() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))"


def resize(page: Page, width: int, height: int) -> None:
    """Give a page a window of this size, and wait until it is drawn for it, however busy the machine is."""
    page.set_viewport_size({"width": width, "height": height})
    page.wait_for_function("([width, height]) => innerWidth === width && innerHeight === height", arg=[width, height])
    page.evaluate(DRAWN)
