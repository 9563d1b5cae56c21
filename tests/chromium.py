"""Finds Debian's Chromium and opens pages in it, offline; tests that need it say so where there is none."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-quic"),
)


@contextmanager
def browser() -> Iterator[Browser]:
    with sync_playwright() as play:
        found = play.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield found
        found.close()


@contextmanager
def opened(
    found: Browser, file: Path, *, size: tuple[int, int] = (1280, 900), scheme: str = "light", tab: str = ""
) -> Iterator[Page]:
    """The page, laid out; whatever it complains of, or asks the network for, fails the test."""
    page = found.new_page(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)  # pyright: ignore
    said: list[str] = []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    page.on("dialog", lambda dialog: (said.append(f"dialog {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda request: said.append(request.url) if request.url.split(":")[0] not in LOCAL else None)
    page.goto(f"{file.as_uri()}{f'#{tab}' if tab else ''}")
    page.wait_for_selector("html[data-ready=yes]", state="attached")
    yield page
    page.wait_for_timeout(100)
    page.close()
    assert not said, said


LOCAL = ("file", "data", "blob")
