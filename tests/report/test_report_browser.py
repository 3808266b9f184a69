"""The report in a real browser: nothing is fetched, everything fits, commands can be copied."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import requests_of

pytestmark = pytest.mark.engine


@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_shows_it_without_a_request_an_error_or_a_sideways_scroll(
    reports: Path, browser: Any, width: int
) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    for name in ("single", "folds", "numbers", "sweep"):
        browser.get((reports / name / "report.html").as_uri())
        page, window = browser.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
        assert window == width
        assert page <= width, name
        broken = "return [...document.images].filter(image => !image.naturalWidth).length"
        assert browser.execute_script(broken) == 0
    assert browser.get_log("browser") == []
    assert requests_of(browser) == []


def opened(browser: Any, page: Path) -> str:
    """Show a page, in which the clipboard may be read; the page's first command."""
    browser.execute_cdp_cmd("Browser.grantPermissions", {"permissions": ["clipboardReadWrite"]})
    browser.get(page.as_uri())
    return str(browser.execute_script("return document.querySelector('code.command').textContent"))


CLIPBOARD = "const done = arguments[0]; (window.kept ?? navigator.clipboard).readText().then(done, done)"
NO_CLIPBOARD = """
    window.kept = navigator.clipboard;
    Object.defineProperty(navigator, "clipboard", {value: undefined});
"""


@pytest.mark.parametrize("how", ["clipboard", "selection"])
def test_a_button_beside_each_command_copies_it(reports: Path, browser: Any, how: str) -> None:
    if how == "selection":
        browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": NO_CLIPBOARD})
    opened(browser, reports / "single" / "report.html")
    browser.execute_script("document.querySelectorAll('details').forEach(part => part.open = true)")
    commands = browser.find_elements("css selector", "code.command")
    buttons = browser.find_elements("css selector", ".copyable > button")
    assert len(buttons) == len(commands) > 5
    assert not browser.find_elements("css selector", "code button")
    for command, button in zip(commands, buttons, strict=True):
        assert button.accessible_name == f"Copy: {command.text}"
        button.click()
        assert browser.execute_async_script(CLIPBOARD) == command.text
        assert [other.text for other in buttons if other.text != "Copy"] == ["Copied"]
    assert (
        browser.find_element("css selector", "[role=status]")
        .get_property("textContent")
        .endswith(commands[-1].text)
    )
    assert browser.get_log("browser") == []
    assert requests_of(browser) == []


def test_where_nothing_may_be_copied_the_command_is_selected(reports: Path, browser: Any) -> None:
    refused = f"{NO_CLIPBOARD} document.execCommand = () => false;"
    browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": refused})
    command = opened(browser, reports / "single" / "report.html")
    button = browser.find_element("css selector", ".copy")
    button.click()
    assert button.text == "Press Ctrl+C"
    assert browser.execute_script("return getSelection().toString()") == command


def test_the_buttons_are_not_on_paper_and_not_there_without_javascript(reports: Path, browser: Any) -> None:
    page = reports / "single" / "report.html"
    opened(browser, page)
    assert browser.find_element("css selector", ".copy").is_displayed()
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert not browser.find_element("css selector", ".copy").is_displayed()
    assert browser.find_element("css selector", "code.command").is_displayed()
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "screen"})
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    browser.get(page.as_uri())
    assert browser.find_element("css selector", "code.command").is_displayed()
    assert not browser.find_elements("css selector", "button")


def test_a_browser_refuses_every_script_but_that_of_the_page(
    reports: Path, browser: Any, tmp_path: Path
) -> None:
    source = (reports / "single" / "report.html").read_text()
    page = tmp_path / "page.html"
    page.write_text(source.replace("<main>", "<script>document.title = 'changed'</script><main>"))
    opened(browser, page)
    assert browser.title != "changed"
    assert "Content Security Policy" in browser.get_log("browser")[0]["message"]
    assert browser.find_elements("css selector", ".copy")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_browser_shows_the_film_in_the_colors_of_the_page(reports: Path, browser: Any, theme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": theme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get((reports / "single" / "report.html").as_uri())
    source = "source" if theme == "dark" else "img"
    attribute = "srcset" if theme == "dark" else "src"
    shown, url = browser.execute_script(
        "const film = document.querySelector('picture');"
        "return [film.querySelector('img').currentSrc, film.querySelector(arguments[0])[arguments[1]]]",
        source,
        attribute,
    )
    assert shown == url
