"""Windows of a size, as pages are tested in."""

from __future__ import annotations

from playwright.sync_api import Page

BOXES = """(selector) => [...document.querySelectorAll(selector)].map((one) => one.getBoundingClientRect()).map(
    ({x, y, width, height}) => ({x, y, width, height}))"""
DRAWN = "() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))"


def resize(page: Page, width: int, height: int) -> None:
    """Give a page a window of this size, and wait until it is drawn for it, however busy the machine is."""
    page.set_viewport_size({"width": width, "height": height})
    page.wait_for_function("([width, height]) => innerWidth === width && innerHeight === height", arg=[width, height])
    page.evaluate(DRAWN)


def boxes(page: Page, selector: str) -> list[dict[str, float]]:
    """Where all elements of a selector are, at one moment, in their order on the page: x, y, width, height [pixels].

    One by one, a line of text that wraps meanwhile would move those that are asked for later.
    """
    found: list[dict[str, float]] = page.evaluate(BOXES, selector)
    return found
