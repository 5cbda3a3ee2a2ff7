"""The arrows of docs/architecture.md: who may import whom, and no circles."""

import ast
import itertools
import pathlib
import subprocess
import sys

import pytest

import larq_bnnopt

from .arrows import c_arrows, c_definitions, find_circle, python_arrows

SITE = pathlib.Path(larq_bnnopt.__file__).parent.parent
SOURCES = pathlib.Path(__file__).parents[1] / "converters" / "runtime" / "src"
PACKAGES = ("larq_bnnopt", "zoo_extensions", "converters")
BESIDE = ("_larq_bnnopt_keras", "_larq_bnnopt_hook", "_larq_bnnopt_start")

# Folder -> what of ours it may import, itself and the choice of Keras aside.
ALLOWED = {
    "larq_bnnopt/optimizers": set(),
    "larq_bnnopt/callbacks": {"larq_bnnopt.texts", "larq_bnnopt.writing"},
    "larq_bnnopt/datasets": {"larq_bnnopt.texts", "larq_bnnopt.writing"},
    "larq_bnnopt/recipes": {
        "larq_bnnopt.optimizers",
        "larq_bnnopt.callbacks",
        "larq_bnnopt.datasets",
        "larq_bnnopt.model_options",
        "larq_bnnopt.preset_fields",
        "larq_bnnopt.recipe_fields",
        "larq_bnnopt.run_config",
        "larq_bnnopt.schedules",
        "larq_bnnopt.texts",
        "larq_bnnopt.writing",
        "zoo_extensions",
    },
    "larq_bnnopt/claims": {"larq_bnnopt.texts"},
    "larq_bnnopt/studies": {
        "larq_bnnopt._version",
        "larq_bnnopt.optimizers",
        "larq_bnnopt.tuning",
        "larq_bnnopt.recipes",
        "larq_bnnopt.callbacks",
        "larq_bnnopt.datasets",
        "larq_bnnopt.recipe_fields",
        "larq_bnnopt.texts",
        "larq_bnnopt.writing",
    },
    "larq_bnnopt/tuning": {
        "larq_bnnopt.datasets",
        "larq_bnnopt.model_options",
        "larq_bnnopt.recipe_fields",
        "larq_bnnopt.recipes",
        "larq_bnnopt.texts",
        "larq_bnnopt.writing",
    },
    "larq_bnnopt/cli": {
        "larq_bnnopt._version",
        "larq_bnnopt.claims",
        "larq_bnnopt.recipes",
        "larq_bnnopt.studies",
        "larq_bnnopt.datasets",
        "larq_bnnopt.field_ranges",
        "larq_bnnopt.model_options",
        "larq_bnnopt.preset_fields",
        "larq_bnnopt.recipe_fields",
        "larq_bnnopt.run_config",
        "larq_bnnopt.texts",
        "larq_bnnopt.tuning",
        "larq_bnnopt.writing",
        "converters",
        "zoo_extensions",
    },
    "zoo_extensions": set(),
    "converters": set(),
    "converters/runtime": set(),
}

# Files beside the folders of larq_bnnopt -> what of it they may import.
FILES = {
    "_version": set(),
    "field_ranges": set(),
    "field_types": set(),
    "model_options": {"texts"},
    "recipe_fields": {"field_ranges", "field_types", "model_options", "texts"},
    "preset_fields": {"recipe_fields"},
    "run_config": {"texts"},
    "schedules": set(),
    "texts": set(),
    "writing": {"texts"},
}
# Those that commands read before TensorFlow is imported.
LIGHT = FILES.keys() - {"schedules"}

# Files and folders of converters, from the ground up: each imports what is below it,
# and nothing beside it.
FLOORS = (
    ("errors", "comparison", "renamed", "tables", "writing", "runtime"),
    ("model_arrays",),
    ("graph",),
    ("rewrites", "int8", "auditing"),
    ("checks", "lowering"),
    ("verification",),
    ("reports", "profiling", "exporting"),
    ("conversion",),
    ("packages",),
    ("__init__",),
)
# A board runs files, and looks at no graph of a model.
NOT_FOR_BOARDS = {
    "graph",
    "rewrites",
    "int8",
    "checks",
    "auditing",
    "lowering",
    "verification",
}


@pytest.fixture(scope="module")
def arrows():
    return python_arrows(SITE, *PACKAGES, *BESIDE)


def is_within(name, package):
    return f"{name}.".startswith(f"{package}.")


@pytest.mark.parametrize("folder", ALLOWED)
def test_a_folder_imports_what_it_may(folder, arrows):
    own = folder.replace("/", ".")
    allowed = {own, "_larq_bnnopt_keras", *ALLOWED[folder]}
    inside = [name for name in arrows if is_within(name, own)]
    assert inside
    for name in inside:
        for end in arrows[name]:
            assert any(is_within(end, one) for one in allowed), f"{name} -> {end}"


@pytest.mark.parametrize("file", FILES)
def test_a_file_beside_the_folders_imports_what_it_may(file, arrows):
    may = {"_larq_bnnopt_keras", *(f"larq_bnnopt.{one}" for one in FILES[file])}
    assert arrows[f"larq_bnnopt.{file}"] <= may


def test_every_file_beside_the_folders_is_in_the_table():
    files = {path.stem for path in (SITE / "larq_bnnopt").glob("*.py")}
    assert files == FILES.keys() | {"__init__"}


def test_light_files_load_no_tensorflow(tmp_path):
    names = [f"larq_bnnopt.{name}" for name in sorted(LIGHT)]
    program = f"import sys, {', '.join(names)}; print('tensorflow' in sys.modules)"
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False"]


def test_every_package_is_in_the_table():
    for inner in SITE.glob("*/**/__init__.py"):
        folder = inner.parent.relative_to(SITE).as_posix()
        if folder.split("/")[0] in PACKAGES and folder != "larq_bnnopt":
            assert any(f"{folder}/".startswith(f"{known}/") for known in ALLOWED)


def test_no_circle_of_imports(arrows):
    assert len(arrows) > 150
    assert find_circle(arrows) == []


def test_no_circle_of_calls_between_c_files():
    arrows = c_arrows(SOURCES)
    assert "kernels_portable.c" in arrows["kernels_avx2.c"]
    assert {"signs.c", "convolution.c", "threads.c"} <= arrows["delegate.c"]
    assert find_circle(arrows) == []


def test_every_c_function_has_a_name_of_its_own():
    homes: dict[str, set[str]] = {}
    for name, file in c_definitions(SOURCES):
        homes.setdefault(name, set()).add(file)
    assert homes["avx512_xor_popcount"] == {"kernels_avx512.c"}
    assert {name: files for name, files in homes.items() if len(files) > 1} == {}


def room(module):
    """The file or folder of converters that a module lies in."""
    return module.split(".")[1] if "." in module else "__init__"


def upward(arrows, floors):
    """The arrows between rooms that do not lead to a lower floor."""
    floor = {name: level for level, names in enumerate(floors) for name in names}
    return {
        (start, end)
        for start, ends in arrows.items()
        for end in ends
        if room(start) != room(end) and floor[room(start)] <= floor[room(end)]
    }


@pytest.fixture(scope="module")
def converters_alone():
    return python_arrows(SITE, "converters")


def test_each_file_of_converters_stands_on_a_floor(converters_alone):
    rooms = [name for names in FLOORS for name in names]
    assert sorted(rooms) == sorted({room(name) for name in converters_alone})


def test_floors_of_converters_rest_on_lower_ones(converters_alone):
    assert upward(converters_alone, FLOORS) == set()


@pytest.mark.parametrize(
    "program",
    [
        "from converters import Interpreter",
        "import converters.packages.replaying",
        "from converters import Classifier, replay",
        "from converters import profile",
    ],
)
def test_a_board_loads_no_graphs(program, tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", f"{program}; import sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    )
    loaded = run.stdout.split()
    assert not {"tensorflow", "larq", "larq_compute_engine"} & set(loaded)
    rooms = {room(name) for name in loaded if is_within(name, "converters")}
    assert rooms & NOT_FOR_BOARDS == set()


# The reader of arrows, on small trees.


def planted(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


PYTHON = {
    "house/__init__.py": '_HOMES = {"run": "roof"}\n',
    "house/ground.py": "import os, numpy.linalg\n",
    "house/inner/__init__.py": "from .deep import dig\n",
    "house/inner/deep.py": "from house import ground\n",
    "house/roof.py": "def run():\n    from house.inner import dig\n",
    "command.py": "def main():\n    import house\n",
}


def test_arrows_of_python(tmp_path):
    assert python_arrows(planted(tmp_path, PYTHON), "house", "command") == {
        "house": {"house.roof"},
        "house.ground": set(),
        "house.inner": {"house.inner.deep"},
        "house.inner.deep": {"house.ground"},
        "house.roof": {"house.inner"},
        "command": {"house"},
    }


@pytest.mark.parametrize(
    "planted_import",
    [
        "import house.roof",
        "from house.roof import run",
        "from house import roof",
        "from . import roof",
        "from .roof import run",
        "from house import run",  # by the lazy table
        "def late():\n    from house import roof",
        "class Late:\n    def one(self):\n        import house.roof as top",
        "import typing\n\nif typing.TYPE_CHECKING:\n    from house import roof",
        "import importlib\nroof = importlib.import_module('house.roof')",
        "from command import main",
    ],
)
def test_a_planted_import_closes_a_circle(planted_import, tmp_path):
    root = planted(tmp_path, {**PYTHON, "house/ground.py": planted_import})
    circle = find_circle(python_arrows(root, "house", "command"))
    assert circle[0] == circle[-1] and "house.ground" in circle
    arrows = python_arrows(root, "house", "command")
    for start, end in itertools.pairwise(circle):
        assert end in arrows[start]


HOUSE = {
    "house/__init__.py": "from house.roof import run\n",
    "house/ground.py": "",
    "house/inner/__init__.py": "",
    "house/inner/deep.py": "from house import ground\n",
    "house/roof.py": "from house.inner.deep import dig\n",
}


@pytest.mark.parametrize(
    ("file", "text", "wrong"),
    [
        ("ground.py", "", set()),
        (
            "ground.py",
            "def late():\n    from house.inner import deep\n",
            {("house.ground", "house.inner.deep")},
        ),
        ("inner/deep.py", "import house.roof\n", {("house.inner.deep", "house.roof")}),
        ("roof.py", "from house import run\n", {("house.roof", "house")}),
    ],
)
def test_a_planted_import_leads_upwards(file, text, wrong, tmp_path):
    root = planted(tmp_path, {**HOUSE, f"house/{file}": text})
    floors = (("ground",), ("inner",), ("roof",), ("__init__",))
    assert upward(python_arrows(root, "house"), floors) == wrong


def test_two_rooms_of_one_floor_import_neither_each_other(tmp_path):
    root = planted(tmp_path, HOUSE)
    floors = (("ground", "inner"), ("roof",), ("__init__",))
    wrong = {("house.inner.deep", "house.ground")}
    assert upward(python_arrows(root, "house"), floors) == wrong


C = {
    "ground.h": "#ifndef GROUND_H\nint count(int bits);\nextern const int LARGEST;\n"
    "typedef struct {\n  int roof;\n  int (*size)(int bits);\n} Sizes;\n#endif\n",
    "ground.c": '#include "ground.h"\nstatic int inner(int x) { return x; }\n'
    "const int LARGEST = 3;\n/* roof(1) */\n"
    'int count(int bits) { return inner(bits) + (int)sizeof "roof(1);"; }\n',
    "roof.h": '#include "ground.h"\n#define TWICE(x) (2 * count(x))\n',
    "roof.c": '#include "roof.h"\nstatic int inner(int x) { return LARGEST; }\n'
    "int roof(int bits) {\n  const Sizes s = {.roof = 1};\n"
    "  return inner(s.roof) + TWICE(bits);\n}\n",
}


def test_arrows_of_c(tmp_path):
    assert c_arrows(planted(tmp_path, C)) == {
        "ground.h": set(),
        "ground.c": {"ground.h"},
        "roof.h": {"ground.h", "ground.c"},
        "roof.c": {"roof.h", "ground.c"},
    }


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("ground.c", "int other(void) { return roof(1); }\n"),
        ("ground.c", "static int (*const call)(int) = roof;\n"),
        ("ground.c", "#define CALL roof(1)\n"),
        ("ground.h", '#include "roof.h"\n'),
        ("ground.h", "static inline int other(void) {\n  return roof(1);\n}\n"),
    ],
)
def test_a_planted_call_closes_a_circle(file, text, tmp_path):
    root = planted(tmp_path, {**C, file: C[file] + text})
    circle = find_circle(c_arrows(root))
    assert circle[0] == circle[-1] and len(circle) > 2


@pytest.mark.parametrize(
    "text",
    [
        "static int roof(int x) { return x; }\nint other(void) { return roof(1); }\n",
        "#define INLINE static inline\nINLINE int roof(int x) { return x; }\n"
        "int other(void) { return roof(1); }\n",
        "int other(const Sizes *s, Sizes t) { return s->roof + t.roof; }\n",
        "int roof(int bits);\n",
    ],
)
def test_a_name_of_ones_own_closes_none(text, tmp_path):
    root = planted(tmp_path, {**C, "ground.c": C["ground.c"] + text})
    assert find_circle(c_arrows(root)) == []


# The commands.


def imported_names(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_commands_import_public_faces_alone():
    """A deep import would tie a command to where a package keeps its files."""
    faces = ("converters", "zoo_extensions", "larq_bnnopt.datasets")
    faces += ("larq_bnnopt.recipes",)
    files = list((SITE / "larq_bnnopt" / "cli").rglob("*.py"))
    assert files
    for path in files:
        for name in imported_names(path):
            deep = any(name.startswith(f"{face}.") for face in faces)
            assert not deep, f"{path.name} imports {name}"
