"""The documentation site: it builds strictly, needs no network, and what its pages show can be typed."""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from nbclient import NotebookClient
from playwright.sync_api import Browser
from shown import blocks, commands, flaw, flaws

from mario_rl.cli import cli
from mario_rl.config import Config, flat_values, load_config
from mario_rl.config.search import Search, load_search
from mario_rl.config.study import Study, load_study
from mario_rl.studies.arms import expand

REPOSITORY = Path(__file__).parents[1]
DOCS = REPOSITORY / "docs"
NOTEBOOK = REPOSITORY / "examples" / "quickstart.ipynb"
EVIDENCE = {"studies", "performance", "recipe", "results", "continued", "first_clears", "first_run", "random_policy"}
WRITTEN = sorted(path for path in DOCS.rglob("*.md") if path.relative_to(DOCS).parts[0] not in EVIDENCE)
PAGES = pytest.mark.parametrize("page", WRITTEN, ids=[path.relative_to(DOCS).as_posix() for path in WRITTEN])


class Tags(HTMLParser):
    """The tags of a page with their attributes, and every id."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.feed(text)
        self.ids = {attributes["id"] for _, attributes in self.tags if "id" in attributes}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def loaded(self) -> list[str]:
        """What a browser fetches by itself to show the page."""
        return [
            attributes[name]
            for tag, attributes in self.tags
            for name in ("src", "srcset", "poster", "data", "href")
            if name in attributes and (name != "href" or tag == "link")
        ]

    def links(self) -> list[str]:
        """What a reader can click."""
        return [attributes["href"] for tag, attributes in self.tags if tag == "a" and "href" in attributes]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, as `make docs` builds it; a warning ends the build."""
    folder = tmp_path_factory.mktemp("docs") / "site"
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    result = subprocess.run(build, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture(scope="module")
def built(site: Path) -> dict[str, Tags]:
    """Every page of the site, by its path in it."""
    pages = {path.relative_to(site).as_posix(): Tags(path.read_text("utf-8")) for path in site.rglob("*.html")}
    assert len(pages) > 30
    return pages


def is_external(target: str) -> bool:
    return bool(urlsplit(target).netloc) or urlsplit(target).scheme not in ("", "data", "file")


@pytest.mark.takes("builds the site")
def test_no_page_loads_anything_from_elsewhere(site, built):
    loaded = {(page, target) for page, tags in built.items() for target in tags.loaded()}
    assert len(loaded) > 100
    assert [one for one in sorted(loaded) if is_external(one[1])] == []
    styles = [(path.name, path.read_text("utf-8")) for path in site.rglob("*.css")]
    assert len(styles) >= 3
    fetched = [
        (name, url) for name, text in styles for url in re.findall(r"(?:url\(|@import\s+)[\"']?([^\"')]+)", text)
    ]
    assert [one for one in fetched if is_external(one[1])] == []


@pytest.mark.takes("builds the site")
def test_every_link_leads_to_a_page_and_to_a_heading_that_are_there(site, built):
    broken = []
    for page, tags in built.items():
        if page == "404.html":  # is shown for any path, so its links begin at the root
            continue
        for link in tags.links():
            if is_external(link):
                continue
            path, anchor = unquote(urlsplit(link).path), unquote(urlsplit(link).fragment)
            target = (site / page).parent / path if path else site / page
            target = target / "index.html" if target.is_dir() else target
            name = os.path.relpath(target, site)
            if not target.is_file() or (anchor and name in built and anchor not in built[name].ids | {"__top"}):
                broken.append((page, link))
    assert broken == []


@pytest.mark.takes("builds the site")
def test_of_the_evidence_in_docs_only_pictures_that_pages_show_are_copied(site, built):
    shown = {
        os.path.relpath(os.path.normpath((site / page).parent / unquote(target)), site)
        for page, tags in built.items()
        for target in tags.loaded() + tags.links()
    }
    of_the_theme = ("assets/", "search/", "sitemap.xml")
    files = [path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()]
    copied = [name for name in files if not name.endswith(".html") and not name.startswith(of_the_theme)]
    assert [name for name in copied if name not in shown] == []
    assert {Path(name).suffix for name in copied} <= {".png", ".webp", ".ipynb"}


@pytest.mark.takes("builds the site")
def test_every_command_and_option_is_on_its_page(site, built):
    page = "reference/commands.html"
    assert set(cli.commands) <= built[page].ids
    for part in (site / page).read_text("utf-8").split("<h2 id=")[1:]:
        name, text = part[1 : part.index('"', 1)], html.unescape(re.sub(r"<[^>]+>", "", part))
        options = [option for parameter in cli.commands[name].params for option in parameter.opts if option[0] == "-"]
        assert [option for option in options if option not in text] == [], name


@pytest.mark.takes("builds the site")
def test_every_key_is_on_its_page_with_what_it_means(site, built):
    for page, keys, model in (
        ("reference/config.html", set(flat_values(Config())), Config),
        ("reference/study.html", set(Study.model_fields) - {"final"}, Study),
        ("reference/search.html", set(Search.model_fields) - {"final"}, Search),
    ):
        assert keys
        assert keys <= built[page].ids
        text = re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", "", (site / page).read_text("utf-8"))))
        for section in (model, *(field.annotation for field in model.model_fields.values())):
            for field in getattr(section, "model_fields", {}).values():
                if field.default_factory is None and field.description:
                    assert field.description.replace("`", "") in text


@pytest.mark.takes("a browser, and builds the site")
def test_a_page_opened_from_the_disk_shows_its_pictures_and_finds_words(site, browser: Browser):
    page = browser.new_page(viewport={"width": 390, "height": 844})
    complaints: list[str] = []
    requested: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requested.append(request.url))
    page.goto((site / "index.html").as_uri())
    page.wait_for_function("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    page.locator("label[for=__search].md-icon").first.click()
    page.locator("input[name=query]").press_sequentially("sticky")
    page.locator(".md-search-result__item").first.wait_for()
    assert page.locator(".md-search-result__item").count() > 3
    # Wider for the moment in which the search unfolds, which a busy machine draws out.
    page.wait_for_function("document.documentElement.scrollWidth <= innerWidth")
    assert complaints == []
    assert [url for url in requested if not url.startswith(("file:", "data:", "about:"))] == []
    page.close()


@PAGES
def test_the_commands_of_a_page_exist_with_their_options_keys_and_names(page):
    assert flaws(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("fly ddqn_right_only", "no command fly"),
        ("train ddqn_right_only --speed 9", "no option --speed"),
        ("train ddqn_right_only agent.speed=9", "no key agent.speed=9"),
        ("train configs/nothing.yaml", "no file configs/nothing.yaml"),
        ("evaluate somebody_1-1", "called somebody_1-1"),
    ],
)
def test_a_command_that_does_not_exist_would_be_noticed(command, said):
    assert said in str(flaw(command))


def test_commands_are_found_in_blocks_and_in_sentences():
    text = "Type `mario-rl list` or\n\n```sh\nOMP_NUM_THREADS=1 mario-rl train demo\n```\n"
    assert sorted(commands(text)) == ["list", "train demo"]
    assert len([one for path in WRITTEN for one in commands(path.read_text("utf-8"))]) > 60


@PAGES
def test_the_yaml_of_a_page_is_a_config_a_study_or_a_search(page, tmp_path):
    for number, text in enumerate(blocks(page.read_text(encoding="utf-8"), "yaml")):
        file = tmp_path / f"{number}.yaml"
        file.write_text(text)
        if "\nspace:" in f"\n{text}":
            assert load_search(file)[0].space
        elif "\nbase:" in f"\n{text}":
            assert len(expand(load_study(file), file)) > 1
        else:
            assert load_config(file) != Config()


EXAMPLES = blocks((DOCS / "howto" / "python.md").read_text(encoding="utf-8"), "python")


@pytest.mark.emulator
@pytest.mark.takes("a process that loads PyTorch and trains")
@pytest.mark.parametrize(("number", "prints"), [(0, "right"), (1, "EpisodeResult(stage='1-1'"), (2, "(16, 4, 84, 84)")])
def test_the_python_examples_run_as_they_stand(number, prints, tmp_path):
    assert len(EXAMPLES) == 3
    code = [sys.executable, "-c", EXAMPLES[number]]
    result = subprocess.run(code, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert prints in result.stdout


@pytest.mark.emulator
@pytest.mark.takes("a notebook: a process that loads PyTorch, trains, draws and evaluates")
def test_the_notebook_runs_from_its_first_cell_to_its_last(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    notebook: Any = nbformat.reads(NOTEBOOK.read_text(encoding="utf-8"), as_version=4)
    (parameters,) = (cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    assert parameters.source.count("=") == 3
    parameters.source = "agent_steps, episode_steps, episodes = 1_200, 40, 2"
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    printed = "".join(output.text for cell in notebook.cells for output in cell.get("outputs", []) if "text" in output)
    assert "40 agent steps, best x" in printed
    assert "stopped by training.agent_steps" in printed
    assert "shipped: clears" in printed
    pictures = [output for cell in notebook.cells for output in cell.get("outputs", []) if "image/png" in str(output)]
    assert len(pictures) == 4


def test_the_notebook_is_stored_without_outputs():
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert [cell["id"] for cell in cells if cell.get("outputs") or cell.get("execution_count")] == []
