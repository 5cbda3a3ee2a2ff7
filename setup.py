"""Metadata of larq-bnnopt; the tools are configured in pyproject.toml."""

import pathlib
import re

from setuptools import find_packages, setup

HERE = pathlib.Path(__file__).parent

# The version rows: TensorFlow 2.15.1 brings Keras 2, the newer row needs tf-keras.
# A Python without a row installs what follows alone, without an upper cap.
REFERENCE_ROW = "python_version < '3.12'"
NEWER_ROW = "python_version == '3.12'"
ANY_ROW = "python_version < '3.13'"
# There is no wheel of larq-compute-engine for Linux on other machines than x86-64.
CONVERTER = f"{ANY_ROW} and (sys_platform != 'linux' or platform_machine == 'x86_64')"


def version() -> str:
    """Reads the version without importing the package."""
    source = (HERE / "larq_bnnopt" / "__init__.py").read_text(encoding="utf-8")
    match = re.search(r'^__version__ = "(.+)"$', source, re.MULTILINE)
    if match is None:
        raise RuntimeError("larq_bnnopt/__init__.py states no __version__.")
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
    license_files=["LICENSE"],
    python_requires=">=3.10",
    packages=find_packages(
        include=[
            f"{package}{suffix}"
            for package in ("larq_bnnopt", "zoo_extensions", "converters")
            for suffix in ("", ".*")
        ]
    ),
    py_modules=["_larq_bnnopt_start"],
    package_data={
        "larq_bnnopt": ["py.typed"],
        "larq_bnnopt.datasets": ["data/*"],
        "zoo_extensions": ["py.typed"],
        "converters": ["py.typed"],
    },
    install_requires=[
        f"numpy<2; {ANY_ROW}",
        "numpy; python_version >= '3.13'",
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
        f"larq-compute-engine==0.16.0; {CONVERTER}",
    ],
    extras_require={
        "test": ["pytest>=8", "pytest-xdist", "scipy", "hypothesis"],
        "dev": ["ruff", "mypy", "pre-commit"],
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
