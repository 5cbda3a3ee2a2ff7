"""Arrows between files: who imports whom in Python, who calls whom in C.

An arrow leads from a file to one that it needs, wherever it says so: at the top, inside
a function, for type checkers alone or in a table of names that are imported later.
"""

import ast
import graphlib
import pathlib
import re
from collections.abc import Iterator

Arrows = dict[str, set[str]]


def find_circle(arrows: Arrows) -> list[str]:
    """Returns a circle, from a file back to itself, empty if there is none."""
    try:
        graphlib.TopologicalSorter(arrows).prepare()
    except graphlib.CycleError as error:
        return error.args[1][::-1]
    return []


# Python


def python_arrows(root: pathlib.Path, *tops: str) -> Arrows:
    """Returns the arrows between the modules of packages and of single files.

    Args:
        root: The folder that they lie in.
        *tops: Names of packages, or of modules that lie beside them.
    """
    files = {}
    for top in tops:
        for path in [root / f"{top}.py", *(root / top).rglob("*.py")]:
            if path.exists():
                parts = path.relative_to(root).with_suffix("").parts
                name = ".".join(p for p in parts if p != "__init__")
                files[name] = path
    return {name: _imports(name, path, files.keys()) for name, path in files.items()}


def _imports(name: str, path: pathlib.Path, modules) -> set[str]:
    is_package = path.name == "__init__.py"
    package = name if is_package else name.rpartition(".")[0]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            source = _source(node, package)
            for alias in node.names:
                inner = f"{source}.{alias.name}"
                found.add(inner if inner in modules else source)
        elif isinstance(node, ast.Call) and _called(node) == "import_module":
            found |= {arg.value for arg in node.args if isinstance(arg, ast.Constant)}
        elif is_package and isinstance(node, ast.Constant):
            found.add(f"{package}.{node.value}")  # An entry of a lazy table, perhaps.
    return (found & set(modules)) - {name}


def _called(node: ast.Call) -> str:
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def _source(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    parts = parts[: len(parts) - node.level + 1]
    return ".".join([*parts, *(node.module.split(".") if node.module else [])])


# C


def c_arrows(folder: pathlib.Path) -> Arrows:
    """Returns the arrows between the files of a folder.

    They are includes, and uses of what another file defines for others.
    """
    paths = sorted([*folder.glob("*.c"), *folder.glob("*.h")])
    read = {path.name: _CFile(path.read_text(encoding="utf-8")) for path in paths}
    home = {name: file for file, one in read.items() for name in one.exported}
    return {
        file: (one.included & read.keys())
        | {home[name] for name in one.used - one.own if name in home} - {file}
        for file, one in read.items()
    }


def c_definitions(folder: pathlib.Path) -> list[tuple[str, str]]:
    """Returns the name and file of each C function and variable that is defined."""
    return [
        (name, path.name)
        for path in sorted(folder.glob("*.c"))
        for name in _CFile(path.read_text(encoding="utf-8")).own
    ]


class _CFile:
    """What a C file includes, defines and uses."""

    def __init__(self, text: str):
        text = re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.DOTALL)
        self.included = set(re.findall(r'^\s*#\s*include\s*"([^"]+)"', text, re.M))
        text = re.sub(r'"(\\.|[^"\\\n])*"', '""', text)
        text = text.replace("\\\n", " ")
        macros = re.findall(r"^\s*#\s*define\s+(\w+)(.*)$", text, re.M)
        self.used = _names(" ".join(text for _, text in macros))
        static = {"static"} | {name for name, text in macros if "static" in text}
        self.own: set[str] = set()
        self.exported: set[str] = set()
        for head, body in _definitions(re.sub(r"^\s*#.*$", "", text, flags=re.M)):
            name = re.search(r"(\w+)\s*(\(|\[|$)", head.strip())
            if name is None:
                continue
            self.own.add(name[1])
            if not static & _names(head):
                self.exported.add(name[1])
            self.used |= _names(body)


def _names(text: str) -> set[str]:
    """Returns the names in a text, fields of structures left out."""
    return set(re.findall(r"(?<![\w.])(?<!->)[A-Za-z_]\w*", text))


def _definitions(text: str) -> Iterator[tuple[str, str]]:
    """Yields the head and the body of each function and of each initialized variable.

    Declarations and types have neither.
    """
    depth = start = 0
    for match in re.finditer(r"[{};]", text):
        depth += {"{": 1, "}": -1, ";": 0}[match[0]]
        if depth or match[0] == "{":
            continue
        item = text[start : match.end()]
        head, _, body = item.partition("{")
        if head.rstrip().endswith(")"):
            yield head, body
        elif match[0] == "}":
            continue  # A variable or a type ends at its semicolon.
        elif "=" in head:
            yield item.split("=", 1)[0], item.split("=", 1)[1]
        start = match.end()
