"""Builds a wheel with the binary kernels, for this host or for aarch64.

    python tools/build_wheel.py [--aarch64] [FOLDER]

For aarch64 it needs the cross compiler aarch64-linux-gnu-gcc. The wheel is tagged with
the oldest glibc that the library runs with, and installs into every Python.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
LIBRARY = "converters/runtime/libbnn.so"
CROSS = "aarch64-linux-gnu-"
PIP_WHEEL = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps"]
# The ELF machine numbers.
MACHINES = {"x86_64": 62, "aarch64": 183}


def build(machine: str, folder: pathlib.Path) -> pathlib.Path:
    """Returns the path of the new wheel."""
    environment = dict(os.environ)
    if machine == "aarch64":
        environment |= {
            "CC": f"{CROSS}gcc",
            "LDSHARED": f"{CROSS}gcc -shared",
            "_PYTHON_HOST_PLATFORM": "linux-aarch64",
        }
    with tempfile.TemporaryDirectory() as made:
        # A copy, so that `build` contributes no library for another host.
        source = pathlib.Path(made) / "source"
        files = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.split("\0")
        for name in filter(None, files):
            if (ROOT / name).is_file():
                target = source / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes((ROOT / name).read_bytes())
        subprocess.run(
            [*PIP_WHEEL, source, "-w", made],
            check=True,
            env=environment,
        )
        (wheel,) = pathlib.Path(made).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            if LIBRARY not in archive.namelist():
                raise SystemExit(f"{wheel.name} contains no binary kernels.")
            library = archive.read(LIBRARY)
        if int.from_bytes(library[18:20], "little") != MACHINES[machine]:
            raise SystemExit(f"The library of {wheel.name} is not for {machine}.")
        tag = f"manylinux_2_{glibc_of(library)}_{machine}"
        name = re.sub(r"-linux_\w+\.whl$", f"-{tag}.whl", wheel.name)
        folder.mkdir(parents=True, exist_ok=True)
        return retagged(wheel, folder / name, tag)


def glibc_of(library: bytes) -> int:
    """Returns the minor version of the oldest glibc that has all functions."""
    versions = re.findall(rb"GLIBC_2\.(\d+)", library)
    return max(17, *map(int, versions))


def retagged(wheel: pathlib.Path, target: pathlib.Path, tag: str) -> pathlib.Path:
    """Writes the wheel with another platform in its name and metadata."""
    subprocess.run(
        [sys.executable, "-m", "wheel", "tags", "--platform-tag", tag, wheel],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    target.write_bytes((wheel.parent / target.name).read_bytes())
    return target


def main() -> None:
    """Builds the wheel that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=pathlib.Path, default="dist")
    parser.add_argument("--aarch64", action="store_true")
    arguments = parser.parse_args()
    machine = "aarch64" if arguments.aarch64 else os.uname().machine
    print(build(machine, arguments.folder))


if __name__ == "__main__":
    main()
