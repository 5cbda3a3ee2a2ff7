"""Hooks of mkdocs: pages from the root folder, links to source files, formulas.

README.md, CONTRIBUTING.md and the like become pages as they are. A link to any other
file of the repository leads to a page that shows that file, so that the site is
complete in itself. Links to files that do not exist stay, and fail a strict build.
"""

from __future__ import annotations

import ast
import contextlib
import logging
import os
import pathlib
import re
from collections.abc import Iterator
from html import unescape
from typing import Any

import latex2mathml.converter
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

_LOGGER = logging.getLogger("mkdocs.hooks")

ROOT = pathlib.Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
# Page of the site -> file in the root folder.
ROOT_PAGES = {
    "index.md": "README.md",
    "contributing.md": "CONTRIBUTING.md",
    "security.md": "SECURITY.md",
    "changelog.md": "CHANGELOG.md",
}
LANGUAGES = {".py": "python", ".pyi": "python", ".c": "c", ".h": "c", ".toml": "toml"}

# A Markdown link or an attribute of HTML: what comes before the target, the target.
_LINK = re.compile(
    r"""(?P<before>\]\(|(?:src|href|srcset)=")(?P<path>(?!\w+:)[^)\s#"]+)"""
)
_FORMULA = re.compile(
    r'<(?P<kind>div|span) class="arithmatex">\\[\[(](?P<latex>.*?)\\[\])]</(?P=kind)>',
    re.DOTALL,
)
_SOURCE = """\
---
search:
  exclude: true
---

# `{name}`

{body}
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages of the root folder, and one for each linked source file."""
    for page, name in ROOT_PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / name)))
    linked: set[pathlib.Path] = set()
    for file in files.documentation_pages():
        origin = _origin(file)
        for match in _LINK.finditer(file.content_string):
            linked.update(_sources(_target(origin, match["path"])))
    for path in sorted(linked):
        name = path.relative_to(ROOT).as_posix()
        content = _SOURCE.format(name=name, body=_body(path))
        files.append(File.generated(config, _page_of(path), content=content))
    return files


def on_page_markdown(
    markdown: str, *, page: Page, config: MkDocsConfig, files: Files
) -> str:
    """Lets the links of a page lead to pages of the site."""
    origin = _origin(page.file)
    if origin is None:
        return markdown
    folder = pathlib.PurePosixPath(page.file.src_uri).parent

    def replaced(match: re.Match[str]) -> str:
        target = _target(origin, match["path"])
        if target is None or not target.exists():
            return match[0]
        uri = _page_of(target)
        if match["before"] != "](":  # mkdocs resolves the links of Markdown alone.
            file = files.get_file_from_path(uri)
            if file is None:
                return match[0]
            return match["before"] + file.url_relative_to(page.file)
        return match["before"] + os.path.relpath(uri, folder)

    return _LINK.sub(replaced, markdown)


def on_page_content(html: str, **kwargs: Any) -> str:
    """Turns LaTeX into MathML, which browsers show without a script."""
    return _FORMULA.sub(
        lambda match: latex2mathml.converter.convert(
            unescape(match["latex"]),
            display="block" if match["kind"] == "div" else "inline",
        ),
        html,
    )


def on_post_build(config: MkDocsConfig) -> None:
    """Warns of public classes and functions that no page of the API documents."""
    pages = pathlib.Path(config.site_dir).glob("api/*/index.html")
    documented = set(re.findall(r'id="([\w.]+)"', "".join(map(_read, pages))))
    for path in (DOCS / "api").glob("*.md"):
        for package in re.findall(r"^::: ([\w.]+)$", _read(path), re.MULTILINE):
            names = {f"{package}.{name}" for name in _exported(package)}
            for name in sorted(names - documented):
                _LOGGER.warning("%s is on no page of the API", name)


def _exported(package: str) -> set[str]:
    """Returns the public names of a package without its constants and subpackages."""
    folder = ROOT.joinpath(*package.split("."))
    init = folder / "__init__.py"
    if not init.exists():
        return set()
    tree = ast.parse(_read(init))
    # What is imported as its own name is exported, also where `__all__` is computed.
    names = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name == alias.asname
    }
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            with contextlib.suppress(ValueError):
                names.update(ast.literal_eval(node.value))
    modules = {path.stem for path in folder.iterdir()}
    return {name for name in names - modules if not name.isupper()}


def _read(path: pathlib.Path) -> str:
    return path.read_text(encoding="utf-8")


def _origin(file: File) -> pathlib.Path | None:
    """Returns the file of the repository that a page is made from."""
    if file.src_uri in ROOT_PAGES:
        return ROOT / ROOT_PAGES[file.src_uri]
    return None if file.generated_by else DOCS / file.src_uri


def _target(origin: pathlib.Path | None, path: str) -> pathlib.Path | None:
    """Returns the file that a link leads to, if it may be one of the repository."""
    if origin is None:
        return None
    target = pathlib.Path(os.path.normpath(origin.parent / path))
    return target if target.is_relative_to(ROOT) else None


def _page_of(path: pathlib.Path) -> str:
    """Returns the page of the site that shows a file."""
    if path.is_relative_to(DOCS):
        return path.relative_to(DOCS).as_posix()
    name = path.relative_to(ROOT).as_posix()
    pages = {root: page for page, root in ROOT_PAGES.items()}
    # mkdocs leaves out what begins with a dot.
    return pages.get(name, f"source/{name.lstrip('.')}.md")


def _sources(path: pathlib.Path | None) -> Iterator[pathlib.Path]:
    """Yields a linked file, or a folder and the source files in it, without a page."""
    if path is None or not path.exists() or not _page_of(path).startswith("source/"):
        return
    yield path
    if path.is_dir():
        yield from _sources_in(path)


def _sources_in(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted(path for path in folder.iterdir() if path.suffix in LANGUAGES)


def _body(path: pathlib.Path) -> str:
    if path.is_dir():
        names = (source.name for source in _sources_in(path))
        return "\n".join(f"- [{name}]({path.name}/{name}.md)" for name in names)
    fence = "`" * 8
    language = LANGUAGES.get(path.suffix, "text")
    return f"{fence}{language}\n{_read(path)}\n{fence}"
