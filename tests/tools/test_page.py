"""The page: one file that needs nothing else, whatever names are in it, and what clicks in a browser show."""

from __future__ import annotations

import hashlib
import html
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph.compile import printed
from numgraph.inspector.describe import record_of
from numgraph.inspector.page import highlighted, page, resource
from numgraph.inspector.record import FunctionRecord
from numgraph.program import build_program
from numgraph.recorded import making_of

WEB = Path(__file__).parents[2] / "numgraph" / "inspector" / "web"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
NASTY = '</script><script>throw "x"</script> & "quoted" \u2028 θ'


def training(name: str = "train") -> ng.Function:
    """A step of logistic regression."""
    rng = np.random.default_rng(1)
    data, labels = ng.shared(rng.normal(size=(60, 8)), name="data"), ng.shared(rng.integers(0, 3, 60), name="labels")
    W, b = ng.shared(np.zeros((8, 3)), name="W"), ng.shared(np.zeros(3), name="b")
    x, y, i = ng.matrix("x"), ng.lvector("y"), ng.lscalar("i")
    p = ng.softmax(x @ W + b, axis=1)  # the model
    cost = -ng.mean(ng.log(p)[ng.arange(y.shape[0]), y])
    gW, gb = ng.grad(cost, [W, b])
    updates = [(W, W - 0.1 * gW), (b, b - 0.1 * gb)]
    window = slice(i * 20, (i + 1) * 20)
    return ng.function([i], cost, updates=updates, givens={x: data[window], y: labels[window]}, name=name)


def long_chain(count: int) -> FunctionRecord:
    """Four times as many operations, which are not compiled: that takes LLVM long."""
    x = ng.vector("x")
    w = ng.shared(np.ones(3), name="w")
    y = x
    for k in range(count):
        y = ng.tanh(y * (1.0 + k / 5000)) + ng.exp(-y * w)
    program = build_program([x], y, name="chain")
    record = record_of(program, "cpu")
    record.making = making_of(program, "cpu")
    record.stages["source"] = printed(program).module.text
    return record


def embedded(text: str) -> Any:
    """The data in a page."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def test_scripts_were_bundled_after_their_last_change() -> None:
    digest = hashlib.sha256()
    for path in sorted((WEB / "src").iterdir()):
        digest.update(path.read_bytes())
    assert digest.hexdigest() in resource("page.js").partition("\n")[0], "run `make page`"


def test_files_of_the_page_are_short() -> None:
    for path in (WEB / "src").iterdir():
        assert path.read_text().count("\n") <= 450, f"{path.name} is too long: split it"


def test_page_asks_for_nothing_from_elsewhere() -> None:
    text = page([training().record])
    assert "default-src 'none'" in text
    whole = resource("page.html") + resource("page.css") + resource("page.js")
    for allowed in ("http-equiv", "http://www.w3.org/2000/svg", "url(#arrow)"):
        whole = whole.replace(allowed, "")
    assert not any(word in whole for word in ("http", "@import", "url("))


def test_names_are_data() -> None:
    text = page([training(NASTY).record])
    assert text.count("</script>") == 2 and 'throw "x"' not in text.replace('throw \\"x\\"', "")
    (record,) = embedded(text)["functions"]
    assert record["name"] == NASTY


def test_all_that_is_linked_is_in_the_page() -> None:
    f = training()
    (record,) = embedded(page([f.record]))["functions"]
    source = f.source.split("\n")
    shown = [html.unescape(re.sub(r"<[^>]+>", "", line)) for line in record["source"]]
    assert shown == source[:-1]
    assert len(record["making"]["links"]) in (len(record["source"]), len(record["source"]) + 1)
    assert len(record["code"]["asm"]["html"]) == len(record["code"]["asm"]["lines"])
    assert __file__ in record["making"]["files"]
    assert record["explanation"]["limits"]["peak"] > 0
    assert {graph["name"] for graph in record["making"]["graphs"]} >= {"written", "givens", "lowered"}


def test_reference_and_devices_have_pages() -> None:
    x = ng.vector("x")
    records = [ng.function([x], ng.exp(x) * 2, target=t, name=t).record for t in ("reference", "cuda-sim")]
    first, second = embedded(page(records))["functions"]
    assert first["making"]["graphs"] and not first["source"] and not first["code"]
    assert second["making"]["links"] and second["source"]


def test_lines_are_highlighted_one_by_one() -> None:
    lines = highlighted('x = """a\n<b>"""  # c\n\ny = 1', "python")
    assert len(lines) == 4 and lines[2] == ""
    assert lines[1] == '<i class="s">&lt;b&gt;&quot;&quot;&quot;</i>  <i class="c"># c</i>'


# -- in a browser -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, where there is one."""
    path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    sync = pytest.importorskip("playwright.sync_api")
    if path is None:
        pytest.skip("no Chromium is installed")
    with sync.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield found
        found.close()


class Opened:
    """A page in the browser, with what it said in the console."""

    def __init__(self, browser: Any, path: Path, width: int = 1280, scheme: str = "light") -> None:
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        self.page = context.new_page()
        self.said: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.goto(path.as_uri())
        self.page.wait_for_selector(".front .lines .l")

    def texts(self, selector: str) -> list[str]:
        """What is written in elements."""
        found: list[str] = self.page.locator(selector).all_inner_texts()
        return found


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of two functions."""
    path = tmp_path_factory.mktemp("page") / "train.html"
    path.write_text(page([training().record, training(NASTY).record]), encoding="utf-8")
    return path


def line_with(text: str) -> int:
    """The line of this file with a text."""
    return next(k for k, line in enumerate(Path(__file__).read_text().split("\n"), 1) if text in line)


def test_a_line_lights_the_others(browser: Any, written: Path) -> None:
    opened = Opened(browser, written)
    model = line_with("# the model")
    row = opened.page.locator(f'.pane.user .l[data-n="{model}"]')
    row.scroll_into_view_if_needed()
    row.hover()
    assert opened.texts(".pane.source .l.on") or opened.page.locator(".pane.source .marks i").count()
    row.click()
    lit = opened.texts(".pane.source .l.on")
    assert any("dgemm" in line or "exp_f64" in line for line in lit)
    assert opened.page.locator(".pane.machine .l.on").count() > 0
    # held: pointing at another line changes nothing, until the click is taken back
    opened.page.locator(f'.pane.user .l[data-n="{model - 2}"]').hover()
    assert opened.texts(".pane.source .l.on") == lit
    opened.page.keyboard.press("Escape")
    assert opened.page.locator(".pane.source .l.on").count() == 0
    assert not opened.said


def test_an_instruction_leads_to_the_users_line(browser: Any, written: Path) -> None:
    opened = Opened(browser, written)
    opened.page.locator(".pane.machine .l.linked").first.click()
    assert opened.page.locator(".pane.source .l.on").count() > 0
    assert opened.page.locator(".pane.user .marks i").count() > 0
    assert not opened.said


def test_graph_folds_and_steps(browser: Any, written: Path) -> None:
    opened = Opened(browser, written)
    opened.page.keyboard.press("3")
    opened.page.wait_for_selector(".node")
    assert "fused updates" in opened.texts(".says")[0]
    opened.page.get_by_role("button", name="fold all", exact=True).click()
    folded = opened.page.locator(".node").count()
    opened.page.get_by_role("button", name="unfold all").click()
    assert opened.page.locator(".node").count() > folded
    opened.page.locator(".node.root").first.dispatch_event("click")
    assert "your line" in opened.texts(".details")[0] and "generated source" in opened.texts(".details")[0]
    opened.page.select_option(".slider select", label="written")
    assert "as you wrote them" in opened.texts(".says")[0]
    opened.page.keyboard.press("Escape")
    seen = set()
    steps = int(opened.page.get_attribute(".slider input", "max"))
    for _ in range(steps):
        opened.page.click('[aria-label="next step"]')
        seen.add(opened.texts(".says")[0])
    assert len(seen) == steps and any("softmax underflows" in said for said in seen)
    assert any("alike functions merged" in said for said in seen)
    assert not opened.said


def test_search_finds_and_opens(browser: Any, written: Path) -> None:
    opened = Opened(browser, written)
    opened.page.keyboard.press("/")
    opened.page.keyboard.type("softmax(x @ W")
    assert any("test_page" in text for text in opened.texts(".found li"))
    opened.page.keyboard.press("Enter")
    assert opened.page.locator(".pane.user .l.on, .node.on").count() > 0
    opened.page.fill(".search input", "there is " + "no such text")
    assert opened.texts(".found li") == ["nothing found"]
    assert not opened.said


def test_another_function_is_chosen(browser: Any, written: Path) -> None:
    opened = Opened(browser, written)
    opened.page.select_option("select.function", "1")
    assert NASTY[:20] in opened.page.locator("select.function option:checked").inner_text()
    for view in ("overview", "code", "graph", "memory", "cost"):
        opened.page.click(f'nav [data-view="{view}"]')
        assert opened.page.locator("main > .view:visible").count() == 1
    assert not opened.said


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_screen(browser: Any, written: Path, width: int, scheme: str) -> None:
    opened = Opened(browser, written, width, scheme)
    for view in ("code", "overview", "graph", "memory", "cost"):
        opened.page.click(f'nav [data-view="{view}"]')
        assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
    before = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
    opened.page.click(".theme")
    assert opened.page.evaluate("getComputedStyle(document.body).backgroundColor") != before
    assert not opened.said


@pytest.mark.parametrize("count", [150, 1300])
def test_a_large_graph_is_folded(browser: Any, tmp_path: Path, count: int) -> None:
    """How long it takes is for `python -m bench`; here, that no more is drawn than is seen."""
    path = tmp_path / "chain.html"
    path.write_text(page([long_chain(count)]), encoding="utf-8")
    opened = Opened(browser, path)
    assert opened.page.locator(".pane.source .l").count() < 400
    opened.page.keyboard.press("3")
    opened.page.wait_for_selector(".group")
    (graph,) = [g for g in embedded(path.read_text())["functions"][0]["making"]["graphs"] if g["name"] == "lowered"]
    assert len(graph["nodes"]) > 4 * count
    assert opened.page.locator(".node, .group").count() < 150
    assert not opened.said
