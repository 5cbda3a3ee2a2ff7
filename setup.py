"""Metadata of larq-bnnopt; the tools are configured in pyproject.toml."""

import os
import pathlib
import re
import sys

from setuptools import Extension, find_packages, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

HERE = pathlib.Path(__file__).parent

# The version rows: TensorFlow 2.15.1 brings Keras 2, the newer row needs tf-keras.
# A Python without a row installs what follows alone, without an upper cap.
REFERENCE_ROW = "python_version < '3.12'"
NEWER_ROW = "python_version == '3.12'"
ANY_ROW = "python_version < '3.13'"
# On a board with Linux and aarch64 files are run, and training is the extra "train".
BOARD = "sys_platform == 'linux' and platform_machine == 'aarch64'"
DESK = "(sys_platform != 'linux' or platform_machine != 'aarch64')"
RUNS_ONLY = (
    "python_version >= '3.13' and sys_platform == 'linux' "
    "and platform_machine == 'x86_64'"
)
# There is no wheel of larq-compute-engine for Linux on other machines than x86-64.
CONVERTER = f"{ANY_ROW} and (sys_platform != 'linux' or platform_machine == 'x86_64')"

TRAINING = [
    f"tensorflow==2.15.1; {REFERENCE_ROW}",
    f"tensorflow==2.19.1; {NEWER_ROW}",
    f"tf-keras==2.19.0; {NEWER_ROW}",
    f"larq==0.14.0; {ANY_ROW}",
    f"larq-zoo==2.4.0; {ANY_ROW}",
    # Zookeeper's bound, stated where pip's resolver sees it first; and etils' last
    # version for Python 3.10, which older pips look for without an end.
    f"tensorflow-datasets>=4.8,<4.9; {ANY_ROW}",
    "etils<1.14; python_version < '3.11'",
    f"matplotlib; {ANY_ROW}",
    f"rich; {ANY_ROW}",
]

SOURCES = HERE / "converters" / "runtime" / "src"
# Products and sums are rounded apart, so that all kernels give the same floats.
FLAGS = [
    "-std=gnu11",
    "-O3",
    "-ffp-contract=off",
    "-fvisibility=hidden",
    "-pthread",
    "-g0",
]
LIBRARY = Extension(
    "converters.runtime.libbnn",
    sources=sorted(os.path.relpath(path, HERE) for path in SOURCES.glob("*.c")),
    depends=sorted(os.path.relpath(path, HERE) for path in SOURCES.glob("*.h")),
    extra_compile_args=FLAGS,
    extra_link_args=["-pthread"],
    libraries=["m"],
    # Without a compiler the rest works, and `bnnopt doctor` says what is missing.
    optional=True,
)

# Python runs it when it starts: larq may then be imported before this project.
START = "larq_bnnopt.pth"


class BuildLibrary(build_ext):
    """Builds a plain shared library: it is LiteRT that loads it, not Python."""

    def run(self) -> None:
        """Removes the old library first, so that a failed build leaves none."""
        for extension in self.extensions:
            pathlib.Path(self.get_ext_fullpath(extension.name)).unlink(missing_ok=True)
        super().run()

    def get_ext_filename(self, fullname: str) -> str:
        """Returns the path without the version of Python in it."""
        return os.path.join(*fullname.split(".")) + ".so"

    def get_export_symbols(self, ext: Extension) -> list[str]:
        """Returns no function that initialises a module."""
        return []


class BuildModules(build_py):
    """Puts beside the modules what Python reads when it starts."""

    def run(self) -> None:
        """Builds."""
        super().run()
        # An editable wheel holds what is written there, and links to the sources.
        where = self.build_lib
        if self.editable_mode:
            where = self.get_finalized_command("install").install_lib
        self.mkpath(where)
        self.copy_file(START, os.path.join(where, START))

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """Returns the files that are built."""
        outputs = super().get_outputs(include_bytecode)
        return [*outputs, os.path.join(self.build_lib, START)]


class Wheel(bdist_wheel):
    """A wheel for every Python of a platform, or one that says what it lacks."""

    def get_tag(self) -> tuple[str, str, str]:
        """Returns the tags of the name."""
        if not list(pathlib.Path(self.bdist_dir).glob("converters/runtime/*.so")):
            print("The binary kernels were not built.", file=sys.stderr)
            self.build_number = "0nokernels"
            return "py3", "none", "any"
        return "py3", "none", super().get_tag()[2]


def requirements(lines: list[str], where: str) -> list[str]:
    """Returns requirements that hold on some machines only."""
    found = []
    for line in lines:
        name, _, marker = line.partition("; ")
        found.append(
            f"{name}; ({marker}) and {where}" if marker else f"{name}; {where}"
        )
    return found


def version() -> str:
    """Reads the version without importing the package."""
    source = (HERE / "larq_bnnopt" / "_version.py").read_text(encoding="utf-8")
    match = re.search(r'^__version__ = "(.+)"$', source, re.MULTILINE)
    if match is None:
        raise RuntimeError("larq_bnnopt/_version.py states no __version__.")
    return match[1]


setup(
    name="larq-bnnopt",
    version=version(),
    description=(
        "Train binary neural networks with Keras and Larq, and prove that the "
        "converted file says what the model said."
    ),
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE", "larq_bnnopt/datasets/data/LICENSE-fashion-mnist.txt"],
    python_requires=">=3.10",
    packages=find_packages(
        include=[
            f"{package}{suffix}"
            for package in ("larq_bnnopt", "zoo_extensions", "converters")
            for suffix in ("", ".*")
        ]
    ),
    py_modules=["_larq_bnnopt_keras", "_larq_bnnopt_hook", "_larq_bnnopt_start"],
    package_data={
        "larq_bnnopt": ["py.typed"],
        "larq_bnnopt.datasets": ["data/*"],
        "zoo_extensions": ["py.typed", "*.pyi"],
        "converters": ["py.typed"],
        "converters.runtime": ["self_test.*"],
    },
    ext_modules=[LIBRARY],
    cmdclass={
        "build_ext": BuildLibrary,
        "build_py": BuildModules,
        "bdist_wheel": Wheel,
    },
    install_requires=[
        f"numpy<2; {ANY_ROW}",
        "numpy; python_version >= '3.13'",
        *requirements(TRAINING, DESK),
        f"ai-edge-litert; {BOARD}",
        # Without TensorFlow files are run here, and that is what runs them.
        f"ai-edge-litert; {RUNS_ONLY}",
        f"larq-compute-engine==0.16.0; {CONVERTER}",
    ],
    extras_require={
        "train": TRAINING,
        # Intervals of `bnnopt study`.
        "studies": ["scipy"],
        "tune": [f"optuna>=4.2; {ANY_ROW}"],
        # Folders of sound files as data; SciPy resamples.
        "sound": ["soundfile", "scipy"],
        # Texts as data; weights of a BERT.
        "text": ["tokenizers", "safetensors"],
        "test": [
            "pytest>=8",
            "pytest-xdist",
            "scipy",
            "hypothesis",
            "coverage>=7.10",
            "soundfile",
            "tokenizers",
            "safetensors",
            f"optuna>=4.2; {ANY_ROW}",
        ],
        # Large, for one slow test, and so not among the tested versions.
        "test-bert": ["torch", "transformers"],
        "dev": ["ruff", "mypy", "pre-commit"],
        # Ruff formats the signatures on the pages of the API.
        "docs": ["latex2mathml", "mkdocs-material", "mkdocstrings[python]", "ruff"],
    },
    entry_points={"console_scripts": ["bnnopt = _larq_bnnopt_start:main"]},
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
)
