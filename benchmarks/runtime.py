#!/usr/bin/env python3
"""Speed of the binary kernels, compared with Larq Compute Engine's interpreter.

    python benchmarks/runtime.py [--networks quicknet ...] [--seconds 6] [--threads 1 2]
    python benchmarks/runtime.py --networks --convolutions --texts binary_bert_small
    python benchmarks/runtime.py --write FOLDER
    python benchmarks/runtime.py --files FOLDER

Networks are converted with random weights, since times do not depend on training. All
interpreters of a row run in turn in one process. Networks for texts stand beside the
same network in float32, and in int8 with ranges of random tokens. Convolutions are
chains of eight that each write signs; their share is of the popcount kernel alone, on
data in the cache, for which gcc is needed. Files that were written on one host can be
measured on another without TensorFlow, and without Larq Compute Engine if it is not
installed.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

import converters
from converters.profiling import alternate
from converters.runtime import delegate

HERE = pathlib.Path(__file__).resolve().parent
QUICKNETS = {
    "quicknet_small": "QuickNetSmall",
    "quicknet": "QuickNet",
    "quicknet_large": "QuickNetLarge",
}
ZOO = ("meliusnet_c", "meliusnet22", "meliusnet42", "meliusnet59", "reactnet_a")
NETWORKS = (*QUICKNETS, *ZOO, "bnext18", "birealnet18")
TEXTS = ("binary_bert_tiny", "binary_bert_small", "binary_bert_base")
# Tokens of a text.
TOKENS = 128
# What a network for texts is compared with: a suffix of its name, and its precision.
PRECISIONS = {"": "binary", "_float": "float", "_int8": "float"}
# Side of the image and channels.
CONVOLUTIONS = ((56, 64), (28, 128), (14, 256), (7, 512))
DEFAULT, BEST = "LCE", "LCE fast"
_CHAIN = 8


def main() -> None:
    """Prints a table of networks and one of convolutions for each number of threads."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--networks", nargs="*", default=NETWORKS, choices=NETWORKS)
    parser.add_argument("--texts", nargs="*", default=TEXTS[:2], choices=TEXTS)
    sides = [f"{side}" for side, _ in CONVOLUTIONS]
    parser.add_argument(
        "--convolutions",
        nargs="*",
        default=sides,
        choices=sides,
        help="sides of their images",
    )
    parser.add_argument("--seconds", type=float, default=6.0, help="of a row")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    folder = parser.add_mutually_exclusive_group()
    folder.add_argument("--write", type=pathlib.Path, help="convert there and end")
    folder.add_argument("--files", type=pathlib.Path, help="measure what is there")
    arguments = parser.parse_args()
    if min(arguments.threads) < 1:
        parser.error("--threads must be positive.")
    warnings.simplefilter("ignore")
    names = {
        shape: "chain_{}_{}".format(*shape)
        for shape in CONVOLUTIONS
        if str(shape[0]) in arguments.convolutions
    }
    variants = [name + suffix for name in arguments.texts for suffix in PRECISIONS]
    wanted = (*arguments.networks, *variants, *names.values())
    if arguments.write:
        arguments.write.mkdir(parents=True, exist_ok=True)
        for name, content in converted(arguments.networks, variants, names):
            (arguments.write / f"{name}.tflite").write_bytes(content)
        return
    if arguments.files:
        lacking = [
            name for name in wanted if not (arguments.files / f"{name}.tflite").exists()
        ]
        if lacking:
            parser.error(f"{arguments.files} lacks {', '.join(lacking)}; --write them.")
        files = {
            name: (arguments.files / f"{name}.tflite").read_bytes() for name in wanted
        }
    else:
        files = dict(converted(arguments.networks, variants, names))
    kernels = [
        name
        for name, runs in delegate.known_kernels().items()
        if runs and name != "portable"
    ] or ["portable"]
    print(host())
    peers = [] if lce_version() is None else [DEFAULT, BEST]
    for threads in arguments.threads:
        title = f"{threads} thread{'s' if threads > 1 else ''}"
        if arguments.networks:
            columns = [*peers, *kernels, *[f"{kernels[0]} / {BEST}"] * bool(peers)]
            print_heading(f"ms, {title}", columns)
        for name in arguments.networks:
            times = measured(files[name], kernels, threads, arguments.seconds)
            print(row(name, times, kernels), flush=True)
        if arguments.texts:
            print_heading(
                f"ms, {title}", ["binary", "float32", "int8", "float32 / binary"]
            )
        for name in arguments.texts:
            contents = {suffix: files[name + suffix] for suffix in PRECISIONS}
            times = measured_texts(contents, threads, arguments.seconds)
            print(text_row(name, times, contents), flush=True)
        if names:
            columns = [*peers, *kernels, "share", "bare"]
            print_heading(f"GMAC/s, {title}", columns)
        for shape, name in names.items():
            times = measured(files[name], kernels, threads, arguments.seconds)
            print(convolution_row(shape, times, kernels, threads), flush=True)


def print_heading(first: str, columns: Sequence[str]) -> None:
    """Prints the heading of a table of Markdown."""
    print(f"\n| {first} | {' | '.join(columns)} |")
    print("|---" + "|--:" * len(columns) + "|", flush=True)


def converted(
    networks: Sequence[str],
    texts: Sequence[str],
    chains: Mapping[tuple[int, int], str],
) -> Iterator[tuple[str, bytes]]:
    """Yields the files of networks and of chains of convolutions, by name."""
    for name in networks:
        yield name, network(name)
    for name in texts:
        yield name, text_network(name)
    for shape, name in chains.items():
        yield name, chain(*shape)


def lce_version() -> str | None:
    """Returns the version of Larq Compute Engine, or `None` if it is not installed."""
    try:
        import larq_compute_engine as lce
    except ImportError:
        return None
    return lce.__version__


def host() -> str:
    """Returns processor and versions."""
    cpu = next(
        (
            line.split(":")[1].strip()
            for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return (
        f"{cpu}, {os.cpu_count()} cores; kernels {delegate.default_kernels()}; "
        f"{delegate.ready_litert()}, larq-compute-engine {lce_version()}; "
        "milliseconds of one input, minimum (median)"
    )


def network(name: str) -> bytes:
    """Returns a converted network."""
    import larq_zoo as lqz
    import tensorflow as tf
    from rewrites import randomize

    import zoo_extensions as zx

    tf.keras.backend.clear_session()
    if name in QUICKNETS:
        model = getattr(lqz.sota, QUICKNETS[name])(weights=None)
    else:
        model = zx.create_model(name, latent_weights=False)
        randomize(model)
    return converters.convert(model, inputs=None).content


def text_network(name: str) -> bytes:
    """Returns a converted network for texts, by its name and a suffix."""
    import tensorflow as tf

    import zoo_extensions as zx

    tf.keras.backend.clear_session()
    base = name.removesuffix("_float").removesuffix("_int8")
    precision = PRECISIONS[name.removeprefix(base)]
    model = zx.create_model(
        base,
        input_shape=(TOKENS,),
        latent_weights=precision == "float",
        precision=precision,
    )
    # The scales of activations are set by the first batch.
    model(tokens(8), training=True)
    calibration = tokens(32) if name.endswith("_int8") else None
    return converters.convert(model, inputs=None, calibration=calibration).content


def tokens(samples: int) -> list[np.ndarray]:
    """Returns random ids, a mask without padding, and types, int32."""
    ids = np.random.default_rng(0).integers(1, 30522, (samples, TOKENS))
    types = np.zeros_like(ids)
    return [array.astype(np.int32) for array in (ids, types + 1, types)]


def measured_texts(
    contents: Mapping[str, bytes], threads: int, seconds: float
) -> dict[str, list[float]]:
    """Runs networks for texts in turn; returns the seconds of each."""
    interpreters = [
        converters.Interpreter(content, threads) for content in contents.values()
    ]
    given = tokens(1)
    calls = [lambda run=one.run_once: run(given) for one in interpreters]
    alternate(calls, 0.0)
    return dict(zip(contents, alternate(calls, seconds)))


def text_row(
    name: str, times: Mapping[str, list[float]], contents: Mapping[str, bytes]
) -> str:
    """Returns a row of milliseconds and sizes, and the ratio of the minima."""
    cells = [
        f"{1000 * min(own):.2f} ({1000 * statistics.median(own):.2f}), "
        f"{len(contents[suffix]) / 2**20:.2f} MiB"
        for suffix, own in times.items()
    ]
    ratio = min(times["_float"]) / min(times[""])
    return f"| {name} | {' | '.join(cells)} | {ratio:.1f} x |"


def chain(side: int, channels: int) -> bytes:
    """Returns convolutions of which each reads the signs of the one before."""
    import larq as lq
    import tensorflow as tf

    image = x = tf.keras.Input((side, side, channels))
    for _ in range(_CHAIN):
        x = lq.layers.QuantConv2D(
            channels,
            3,
            padding="same",
            pad_values=1,
            input_quantizer="ste_sign",
            kernel_quantizer="ste_sign",
            kernel_constraint="weight_clip",
            use_bias=False,
        )(x)
        x = tf.keras.layers.BatchNormalization()(x)
    # One channel, so that the last sum is not written.
    x = lq.layers.QuantConv2D(
        1,
        1,
        input_quantizer="ste_sign",
        kernel_quantizer="ste_sign",
        kernel_constraint="weight_clip",
        use_bias=False,
    )(x)
    model = tf.keras.Model(image, tf.keras.layers.GlobalAveragePooling2D()(x))
    return converters.convert(model, inputs=None).content


def measured(
    content: bytes, kernels: list[str], threads: int, seconds: float
) -> dict[str, list[float]]:
    """Runs all interpreters in turn; returns the seconds of each."""
    interpreters: dict[str, Any] = {}
    options: dict[str, dict[str, Any]] = {}
    if lce_version() is not None:
        import larq_compute_engine as lce

        default = lce.testing.Interpreter(content, threads).interpreter
        interpreters[DEFAULT] = default.predict
        options[BEST] = {"backend": "lce"}
    options |= {name: {"backend": "delegate", "kernels": name} for name in kernels}
    for name, others in options.items():
        interpreter = converters.Interpreter(content, threads, **others)
        interpreters[name] = interpreter.run_once
    shape = interpreter.inputs[0].shape
    image = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    calls = [lambda run=run: run([image]) for run in interpreters.values()]
    alternate(calls, 0.0)
    return dict(zip(interpreters, alternate(calls, seconds)))


def row(name: str, times: dict[str, list[float]], kernels: list[str]) -> str:
    """Returns a row of milliseconds, and the ratio of the minima to the peer's."""
    cells = [
        f"{1000 * min(own):.2f} ({1000 * statistics.median(own):.2f})"
        for own in times.values()
    ]
    if BEST in times:
        cells.append(f"{min(times[BEST]) / min(times[kernels[0]]):.1f} x")
    return f"| {name} | {' | '.join(cells)} |"


def convolution_row(
    shape: tuple[int, int],
    times: dict[str, list[float]],
    kernels: list[str],
    threads: int,
) -> str:
    """Returns a row of speeds."""
    side, channels = shape
    products = _CHAIN * side * side * 9 * channels * channels
    speeds = {name: products / min(own) / 1e9 for name, own in times.items()}
    cells = " | ".join(f"{speed:.0f}" for speed in speeds.values())
    share, bare = "", ""
    if shutil.which("gcc") is not None:
        most = bare_speed(kernels[0], side, channels) * threads
        share, bare = f"{speeds[kernels[0]] / most:.0%}", f"{most:.0f}"
    return f"| {side}x{side}x{channels} | {cells} | {share} | {bare} |"


def bare_speed(kernels: str, side: int, channels: int) -> float:
    """Returns the GMAC/s of the popcount kernel alone, on one thread."""
    source = HERE.parent / "converters" / "runtime" / "src"
    with tempfile.TemporaryDirectory() as folder:
        library = f"{folder}/bare.so"
        subprocess.run(
            ["gcc", "-std=gnu11", "-O3", "-ffp-contract=off", "-shared", "-fPIC"]
            + [f"-I{source}", str(HERE / "native" / "bare_gemm.c")]
            + [str(path) for path in source.glob("kernels*.c")]
            + ["-o", library, "-lm"],
            check=True,
        )
        function = ctypes.CDLL(library).bare_gemm
        function.restype = ctypes.c_double
        words, blocks = 9 * channels // 32, channels // 32
        seconds = function(kernels.encode(), side * side, words, blocks, 200)
    return side * side * 9 * channels * channels / seconds / 1e9


if __name__ == "__main__":
    main()
