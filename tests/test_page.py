"""The page of a diagnosis: what stands in the file, and what a browser makes of it."""

from __future__ import annotations

import dataclasses
import errno
import os
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from each import each
from pinntk.errors import PinntkError
from pinntk.page import html as page_module
from pinntk.page import render, write_page
from pinntk.page.figure import logarithmic_ticks
from pinntk.page.words import factor, number, thinned, went
from sample_record import renamed, sample_record, without_optional

LIMIT = 5_000_000
#: Names that would be markup, attributes, TeX or fields of a tooltip if they were not escaped.
HOSTILE = {
    "boundary": "<script>window.hacked = 1</script>",
    "initial": """a"b'c & $$x^2$$ @{value}""",
    "wave1d": "<img src=x onerror='window.hacked=1'>",
    "Give the network": "</script><b>Give</b> the network",
}


def hostile() -> dict[str, Any]:
    record = sample_record(2)
    for old, new in HOSTILE.items():
        record = renamed(record, old, new)
    return record


@dataclasses.dataclass
class Element:
    """One element with its attributes; `text` is all that stands inside."""

    tag: str
    attributes: dict[str, str | None]
    text: str = ""


class Outline(HTMLParser):
    """All elements of a page in order, and its visible text."""

    VOID = ("meta", "img", "br", "input", "link", "hr", "path", "circle")

    def __init__(self, page: str):
        super().__init__(convert_charrefs=True)
        self.elements: list[Element] = []
        self.text = ""
        self._open: list[Element] = []
        self.feed(page)
        assert not self._open, f"never closed: {[e.tag for e in self._open]}"

    def handle_starttag(self, tag, attrs):
        element = Element(tag, dict(attrs))
        self.elements.append(element)
        if tag not in self.VOID:
            self._open.append(element)

    def handle_startendtag(self, tag, attrs):
        self.elements.append(Element(tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self._open.pop().tag == tag

    def handle_data(self, data):
        for element in self._open:
            element.text += data
        if not any(element.tag in ("script", "style") for element in self._open):
            self.text += data

    def all(self, *tags: str) -> list[Element]:
        return [element for element in self.elements if element.tag in tags]


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.fixture(scope="module")
def pages() -> Callable[[str], str]:
    """The page of a kind of record, as text."""
    made: dict[str, str] = {}
    kinds = {
        "line": lambda: sample_record(1, name="poisson1d"),
        "hostile": hostile,
        "bare": lambda: without_optional(sample_record(2)),
    }

    def page(kind: str) -> str:
        if kind not in made:
            made[kind] = render(kinds[kind]())
        return made[kind]

    return page


KINDS = pytest.mark.parametrize("kind", ["line", "hostile", "bare"])


# --- the file -------------------------------------------------------------------------------------


def test_the_verdict_comes_first_then_all_findings_then_the_sections(pages):
    record, text = sample_record(1, name="poisson1d"), words(Outline(pages("line")).text)
    told = [*record["verdict"], record["winner"]["command"]]
    for finding in record["findings"]:
        told += [finding["severity"], finding["title"], finding["sentence"], finding["reason"]]
        for remedy in finding["remedies"]:
            told += [words(remedy[key]) for key in ("text", "option", "code")]
    told += ["The whole kernel K", "Rates over the steps", "Loss of ‘residual’", "Error of ‘u’"]
    told += ["Direction 1", "All trials", "Settings", "Provenance"]
    at = 0
    for part in told:
        assert part in text[at:], f"{part!r} is missing after {text[max(0, at - 60) : at]!r}"
        at = text.index(part, at) + len(part)


def test_what_is_not_known_is_left_out_with_a_sentence(pages):
    outline = Outline(pages("bare"))
    text = words(outline.text)
    for sentence in (
        "No network was trained for this record",
        "No direction is too slow",
        "No remedy was tried",
    ):
        assert sentence in text
    assert "What helped" not in text
    drawn = [e.attributes["id"] for e in outline.all("figure")]
    assert drawn == [f"spectrum-{i}" for i in range(4)]
    # A finding whose figures are left out has no link to them.
    links = [e.attributes["href"] for e in outline.all("a") if e.text.startswith("See ")]
    assert links == ["#rates", "#spectra"]


def test_no_solution_means_no_error_map_and_says_so():
    record = sample_record(1)
    record["maps"]["error"] = None
    record["baseline"]["history"]["relative_l2"] = None
    for trial in record["trials"]:
        trial["relative_l2"] = trial["history"]["relative_l2"] = None
    text = words(Outline(render(record)).text)
    assert "because no solution is known" in text
    assert "Error of" not in text
    assert "Relative L2 error over time" not in text


def unknown(value: Any) -> Any:
    """The same record with every number in a list null, as after a training that diverged."""
    if isinstance(value, dict):
        return {key: unknown(item) for key, item in value.items()}
    if isinstance(value, list):
        return [unknown(item) for item in value]
    return None if isinstance(value, float) else value


@pytest.mark.parametrize("dimensions", [1, 2])
def test_numbers_that_are_not_finite_are_told_not_drawn(dimensions):
    record = sample_record(dimensions)
    for part in ("spectra", "baseline", "maps", "modes", "trials", "forecast", "winner"):
        record[part] = unknown(record[part])
    for axis, known in zip(
        record["maps"]["axes"], sample_record(dimensions)["maps"]["axes"], strict=True
    ):
        axis["values"] = known["values"]
    text = words(Outline(render(record)).text)
    assert "no finite value" in text
    assert "nan" not in text.lower().split()


def test_three_coordinates_show_two_and_say_where_the_third_is():
    record = sample_record(2)
    record["problem"]["coordinates"] = ["x", "y", "t"]
    record["maps"]["axes"][1]["name"] = "y"
    record["maps"]["title"] = "At t = 1"
    record["points"] = {k: [[*p, 1.0] for p in rows] for k, rows in record["points"].items()}
    for mode in record["modes"]:
        mode["points"] = [[0.5, *p] for p in mode["points"]]
    text = words(Outline(render(record)).text)
    assert "At t = 1." in text
    assert "u over x, y and t" in text
    assert re.search(r"largest at y = \S+, t = ", text)


@KINDS
def test_the_page_is_one_file_below_the_limit(kind, pages):
    page = pages(kind)
    assert len(page.encode()) < LIMIT / 2
    own = page.replace(page_module._library(), "")
    assert len(own) < len(page) - 1_000_000  # the library was found and taken out
    for element in Outline(own).elements:
        for name in ("src", "href", "action", "data", "poster", "srcset"):
            assert (element.attributes.get(name) or "#").startswith("#"), element
        assert element.tag not in ("link", "iframe", "object", "embed")
    styles = "".join(element.text for element in Outline(own).all("style"))
    assert styles
    assert not re.search(r"url\(|@import", styles)
    assert not re.search(r"https?://", own)
    (policy,) = (
        e.attributes["content"] for e in Outline(own).all("meta") if "http-equiv" in e.attributes
    )
    assert policy.startswith("default-src 'none'")


def test_a_huge_record_makes_a_page_below_the_limit():
    record, rng = sample_record(2), np.random.default_rng(0)
    many = np.geomspace(1e6, 1e-9, 20_000).tolist()
    whole = {"kernel": many, "conditions": {}}
    spectra = {**record["spectra"], "before": whole, "after": whole}
    grid = np.linspace(0, 1, 500)
    axes = [{"name": name, "values": grid.tolist()} for name in "xt"]
    fine = rng.random((500, 500)).tolist()
    maps = {
        **record["maps"],
        "axes": axes,
        "prediction": {"u": fine},
        "residual": {"residual": fine},
    }
    points = {"residual": rng.random((20_000, 2)).tolist()}
    changed = {"spectra": spectra, "maps": {**maps, "error": None}, "points": points, "modes": []}
    assert len(render({**record, **changed}).encode()) < LIMIT / 2


def test_every_text_of_the_user_is_escaped(pages):
    page = pages("hostile")
    for new in HOSTILE.values():
        if "<" in new:
            assert new not in page
    outline = Outline(page)
    text = words(outline.text)
    for new in HOSTILE.values():
        assert new in text
    assert len(outline.all("script")) == len(Outline(pages("line")).all("script"))
    assert not outline.all("img", "b")


@KINDS
def test_the_page_has_the_structure_that_a_screen_reader_needs(kind, pages):
    outline = Outline(pages(kind))
    assert outline.all("html")[0].attributes["lang"] == "en"
    for landmark in ("header", "main", "nav", "footer"):
        assert outline.all(landmark)
    levels = [int(e.tag[1]) for e in outline.all("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(below <= above + 1 for above, below in pairwise(levels))
    ids = [e.attributes["id"] for e in outline.elements if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    by_id = {e.attributes["id"]: e for e in outline.elements if "id" in e.attributes}
    pictures = [e for e in outline.elements if e.attributes.get("role") == "img"]
    assert len(pictures) == len(outline.all("figure"))
    for picture in pictures:
        assert by_id[picture.attributes["aria-labelledby"]].text.strip()
        assert re.search(r"\d", by_id[picture.attributes["aria-describedby"]].text)
    assert len(outline.all("details")) == len(pictures)
    for table in outline.all("table"):
        assert "<th" not in table.text
    assert len(outline.all("caption")) == len(outline.all("table"))
    for button in outline.all("button"):
        assert button.text.strip() or button.attributes.get("aria-label")
    links = [e.attributes["href"] for e in outline.all("a")]
    assert links
    assert all(str(link)[1:] in by_id for link in links)


def test_severity_is_a_word_and_a_shape(pages):
    badges = re.findall(
        r'<span class="badge (\w+)">(<svg.*?</svg>) (\w+)</span>', pages("line"), re.S
    )
    assert [(kind, word) for kind, _, word in badges] == [
        (k, k) for k in ("severe", "moderate", "note")
    ]
    assert len({shape for _, shape, _ in badges}) == 3


def test_the_curves_of_a_figure_differ_without_colour(pages):
    for figure in re.findall(r"<figure.*?</figure>", pages("line"), re.S):
        samples = re.findall(r'<svg viewBox="0 0 34 12".*?</svg>', figure, re.S)
        plain = [re.sub(r"#[0-9a-fA-F]{6}", "", sample) for sample in samples]
        assert len(set(plain)) == len(plain)


# --- writing --------------------------------------------------------------------------------------


@pytest.fixture
def bare_record() -> dict[str, Any]:
    return without_optional(sample_record(1))


def test_the_page_is_written_and_replaced(bare_record, tmp_path):
    path = tmp_path / "new" / "report.html"
    assert write_page(bare_record, path) == path
    first = path.read_text(encoding="utf-8")
    write_page({**bare_record, "verdict": ["Something else."]}, path)
    assert "Something else." in path.read_text(encoding="utf-8") != first
    assert list(path.parent.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_an_error(bare_record, tmp_path):
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "report.html", tmp_path / "folder"):
        with pytest.raises(PinntkError, match=r"page .*expected a file that can be written\. Name"):
            write_page(bare_record, path)


def test_a_full_disk_is_an_error_and_keeps_the_old_page(bare_record, tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("old")

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(PinntkError, match="No space left on device"):
        write_page(bare_record, path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_record_of_another_kind_is_an_error(bare_record, tmp_path):
    for changed in ({"schema": "other"}, {"schema_version": 1}, {"verdict": None}):
        with pytest.raises(PinntkError, match="record"):
            write_page({**bare_record, **changed}, tmp_path / "report.html")
    assert not list(tmp_path.iterdir())


# --- words ----------------------------------------------------------------------------------------


@each(
    ("value", "text"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (True, "yes"),
        (0.0, "0"),
        (12345, "12,345"),
        (12345.6, "12,300"),
        (999.6, "1,000"),
        (0.0214, "0.0214"),
        (4.4e-4, "4.4e-4"),
        (1e7, "1e7"),
        (-0.5, "-0.5"),
        ("text", "text"),
    ],
)
def test_numbers_as_people_write_them(value, text):
    assert number(value) == text


def test_curves_in_words():
    steps = np.arange(5.0)
    assert went("a", steps, np.full(5, 2.0), "step") == "a: 2 throughout."
    assert went("a", steps, np.full(5, np.nan), "step") == "a: no finite value."
    text = went("a", steps, np.array([3.0, 1.0, 9.0, np.nan, 2.0]), "step")
    assert text == "a: from 3 to 2, least 1 at step 1, most 9 at step 2."
    assert factor(0.42, 0.02) == "21 times smaller"
    assert factor(1.0, 2.0) == "2 times larger"
    assert factor(None, 2.0) == factor(0.0, 2.0) == ""


def test_thinning_keeps_the_ends():
    for logarithmic in (False, True):
        found = thinned(1000, 30, logarithmic=logarithmic)
        assert (found[0], found[-1]) == (0, 999)
        assert len(found) <= 30
    np.testing.assert_array_equal(thinned(3, 30), [0, 1, 2])


@each(("bottom", "top"), [(0.28, 2.9), (0.02, 1.5), (1e-12, 1e8), (1e-3, 2.0)])
def test_a_logarithmic_axis_has_some_ticks_but_not_many(bottom, top):
    ticks, _ = logarithmic_ticks(bottom, top)
    assert 2 <= len(ticks) <= 7
    assert all(bottom <= tick <= top for tick in ticks)


# --- in a browser ---------------------------------------------------------------------------------

REQUIRED = "PINNTK_BROWSER_REQUIRED"
#: Contrast that WCAG's level AA asks of text of this size.
AA = 4.5


@pytest.fixture(scope="module")
def browser():
    """A headless chromium, one for all tests of the module."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        reason = "no chromium is installed (apt-get install chromium)"
        if os.environ.get(REQUIRED) == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=arguments)
        yield started
        started.close()


class Opened:
    """A page in a browser, with all that it said and asked for."""

    def __init__(self, browser, file: Path, **options: Any):
        self.view = browser.new_page(reduced_motion="reduce", **options)
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.view.on("console", self._console)
        self.view.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.view.on("request", lambda request: self.requests.append(request.url))
        self.view.goto(file.as_uri())
        self.view.wait_for_selector("html.drawn", timeout=60_000)

    def _console(self, message):
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def outside(self) -> list[str]:
        return [url for url in self.requests if not url.startswith(("file:", "data:", "blob:"))]


@pytest.fixture(scope="module")
def file_of(tmp_path_factory, pages):
    folder = tmp_path_factory.mktemp("pages")

    def file(kind: str) -> Path:
        path = folder / f"{kind}.html"
        path.write_text(pages(kind), encoding="utf-8")
        return path

    return file


@pytest.fixture(scope="module")
def opened(browser, file_of):
    """The page of the hostile record on a desktop; every test leaves it as it was."""
    size = {"width": 1280, "height": 900}
    yield (page := Opened(browser, file_of("hostile"), viewport=size, color_scheme="light"))
    page.view.close()


def test_the_browser_has_nothing_to_complain_and_asks_for_nothing(opened):
    assert opened.view.evaluate("window.hacked") is None
    assert opened.view.locator(".canvas canvas").count() >= opened.view.locator("figure").count()
    assert not opened.complaints
    assert not opened.outside()
    assert len(opened.requests) == 1


def test_figures_of_one_coordinate_are_drawn_as_quietly(browser, file_of):
    page = Opened(browser, file_of("line"), color_scheme="dark")
    assert page.view.locator("#theme").get_attribute("aria-pressed") == "true"
    assert page.view.locator(".canvas canvas").count() >= page.view.locator("figure").count()
    assert not page.complaints
    assert len(page.requests) == 1
    page.view.close()


def test_control_a_request_is_noticed(opened):
    """The page's own policy stops it, and the browser complains."""
    script = "document.body.append(Object.assign(new Image(), {src: 'http://127.0.0.1:9/x'}))"
    opened.view.evaluate(script)
    opened.view.wait_for_timeout(200)
    assert opened.complaints
    opened.view.evaluate("document.querySelector('body > img').remove()")
    opened.complaints.clear()
    opened.requests[1:] = []


def hover(opened, figure: str) -> str:
    """Move the mouse along a figure until a tooltip shows, and read it."""
    canvas = opened.view.locator(f"#{figure} .canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    tips = opened.view.locator(".bk-tooltip-content:visible")
    for share in np.linspace(0.35, 0.75, 9):
        for height in (0.4, 0.5, 0.3):
            opened.view.mouse.move(
                box["x"] + share * box["width"], box["y"] + height * box["height"]
            )
            opened.view.wait_for_timeout(40)
            if tips.count():
                text = " ".join(tips.all_inner_texts())
                opened.view.mouse.move(0, 0)
                return text
    return ""


@pytest.mark.parametrize(
    ("figure", "said"),
    [
        ("spectrum-0", "before training"),
        ("rates-steps", HOSTILE["boundary"]),
        ("trial-held_out", "seconds"),
        ("map-error-0", ", "),
        ("mode-0", ", "),
    ],
)
def test_hovering_shows_the_numbers(opened, figure, said):
    text = hover(opened, figure)
    assert said in text
    assert re.search(r"\d", text)
    assert opened.view.evaluate("window.hacked") is None
    assert not opened.complaints


def background(view) -> str:
    return view.evaluate("getComputedStyle(document.body).backgroundColor")


def test_dark_and_light_by_mouse_and_by_keyboard(opened):
    button, light = opened.view.locator("#theme"), background(opened.view)
    button.click()
    dark = background(opened.view)
    assert button.get_attribute("aria-pressed") == "true"
    button.focus()
    opened.view.keyboard.press("Space")
    assert button.get_attribute("aria-pressed") == "false"
    assert background(opened.view) == light != dark


def test_the_system_decides_until_the_reader_does(opened):
    opened.view.evaluate("delete document.documentElement.dataset.theme; localStorage.clear()")
    light, button = background(opened.view), opened.view.locator("#theme")
    opened.view.emulate_media(color_scheme="dark")
    # The page is told of the change with its next frame.
    button.and_(opened.view.locator("[aria-pressed=true]")).wait_for()
    assert background(opened.view) != light
    button.click()
    assert background(opened.view) == light
    opened.view.emulate_media(color_scheme="light")
    assert background(opened.view) == light


CONTRAST = """() => {
  const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const part = (c) => (c / 255 <= 0.03928 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c.length && c[3] !== 0) return c;
    }
  };
  let least = 99;
  for (const e of document.body.querySelectorAll("*")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.checkVisibility() || e.closest(".canvas, script, style")) continue;
    const [a, b] = [light(parse(getComputedStyle(e).color)), light(behind(e))];
    least = Math.min(least, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05));
  }
  return least;
}"""


def test_text_stands_out_in_light_and_dark(opened):
    assert AA <= opened.view.evaluate(CONTRAST) < 22
    opened.view.locator("#theme").click()
    assert AA <= opened.view.evaluate(CONTRAST) < 22
    opened.view.locator("#theme").click()
    # A control: grey on white fails.
    opened.view.evaluate("document.querySelector('h1').style.color = '#aaaaaa'")
    assert opened.view.evaluate(CONTRAST) < AA
    opened.view.evaluate("document.querySelector('h1').style.color = ''")


@pytest.mark.parametrize("key", [None, "Enter"])
def test_curves_are_switched_off_and_on(opened, key):
    canvas = opened.view.locator("#spectrum-0 .canvas")
    switch = opened.view.locator("#spectrum-0 .legend button", has_text="after")
    canvas.scroll_into_view_if_needed()
    opened.view.mouse.move(0, 0)

    def press() -> bytes:
        if key is None:
            switch.click()
        else:
            switch.focus()
            opened.view.keyboard.press(key)
        opened.view.wait_for_timeout(150)
        return canvas.screenshot()

    without = press()
    assert switch.get_attribute("aria-pressed") == "false"
    both = press()
    assert switch.get_attribute("aria-pressed") == "true"
    assert without != both
    assert not opened.complaints


def test_commands_are_copied(opened):
    opened.view.context.grant_permissions(["clipboard-read", "clipboard-write"])
    opened.view.locator("[data-copy='remedy-1-1-option']").click()
    opened.view.locator("#said", has_text="Copied").wait_for(state="attached")
    copied = opened.view.evaluate("navigator.clipboard.readText()")
    assert copied == "--weighting ntk --every 100"


def test_the_keyboard_starts_at_the_skip_link_and_sees_where_it_is(opened):
    view = opened.view
    view.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    view.locator(".skip").focus()
    assert view.locator(".skip").bounding_box()["y"] >= 0 or view.wait_for_timeout(300) is None
    view.keyboard.press("Enter")
    assert view.evaluate("document.activeElement.id") == "verdict"
    view.keyboard.press("Tab")
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert view.evaluate(outline) == "solid"
    # Figures are pictures: nothing inside them takes the focus.
    inside = """() => {
      const found = [];
      const look = (n) => n.querySelectorAll("*").forEach((e) => {
        if (e.tabIndex >= 0) found.push(e.tagName);
        if (e.shadowRoot) look(e.shadowRoot);
      });
      document.querySelectorAll(".canvas").forEach(look);
      return found;
    }"""
    assert view.evaluate(inside) == []


WIDTHS = "[document.documentElement.scrollWidth, innerWidth]"


@pytest.mark.parametrize("width", [320, 375, 768])
def test_the_page_fits_a_phone(opened, width):
    before = opened.view.viewport_size
    opened.view.set_viewport_size({"width": width, "height": 800})
    opened.view.evaluate("document.querySelectorAll('details').forEach((d) => (d.open = true))")
    opened.view.wait_for_timeout(300)
    whole, inner = opened.view.evaluate(WIDTHS)
    assert whole <= inner == width
    edges = (
        "[...document.querySelectorAll('.canvas > *')].map((e) => e.getBoundingClientRect().right)"
    )
    widest = max(opened.view.evaluate(edges))
    assert widest <= width
    opened.view.evaluate("document.querySelectorAll('details').forEach((d) => (d.open = false))")
    opened.view.set_viewport_size(before)


def test_print_shows_the_sections_on_white(opened):
    view = opened.view
    view.locator("#theme").click()
    view.emulate_media(media="print")
    view.evaluate("dispatchEvent(new Event('beforeprint'))")
    for section in ("verdict", "findings", "spectra", "rates", "losses", "maps", "modes", "trials"):
        assert view.locator(f"#{section}").is_visible()
    assert not view.locator("#theme").is_visible()
    assert not view.locator(".copy").first.is_visible()
    ink = view.evaluate("getComputedStyle(document.querySelector('h1')).color")
    assert max(map(float, re.findall(r"[\d.]+", ink)[:3])) < 60
    pictures = view.locator("img.printed")
    assert pictures.count() == view.locator("figure").count()
    view.evaluate("Promise.all([...document.images].map((i) => i.decode()))")
    sizes = "[...document.images].map((i) => [i.naturalWidth, i.clientWidth])"
    assert all(natural > 100 and shown > 100 for natural, shown in view.evaluate(sizes))
    view.evaluate("dispatchEvent(new Event('afterprint'))")
    assert pictures.count() == 0
    view.emulate_media(media="screen")
    assert not opened.complaints
    view.locator("#theme").click()
