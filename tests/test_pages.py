"""Every block of code of README, of docs and of the examples runs as it is printed.

A comment in the line before a block says how it is run here; without one it is run as
it stands, in a folder and with names of its own:

    <!-- quick: 50 -> 1; 12 -> 1 -->   words that are replaced, so that it takes seconds
    <!-- with: photos, device -->      what the reader has before: see `things` below
    <!-- continues -->                 typed behind the block before
    <!-- later -->                     in the same folder, in another process
    <!-- slow -->                      with the slow tests
    <!-- not run: why -->

Several of them stand in one comment with bars between, `with: device | slow`. Words of
`bnnopt` are checked in what is not run, too. A block is `python`, `bash`, `diff`, or
`text` for what nobody types.
"""

import contextlib
import dataclasses
import os
import pathlib
import re
import runpy
import shlex
import shutil
import subprocess
import sys

import pytest
import tensorflow as tf

import larq_bnnopt.cli
from larq_bnnopt import datasets, recipes
from larq_bnnopt.datasets import embedded

ROOT = pathlib.Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "SECURITY.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
BLOCK = re.compile(
    r"^(?:<!-- (?P<marker>[^\n]*) -->\n)?```(?P<language>[a-z]*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
LANGUAGES = {"python", "bash", "diff", "text"}


@dataclasses.dataclass(frozen=True)
class Block:
    """A block of code of a page."""

    page: pathlib.Path
    line: int
    language: str
    text: str
    marker: dict[str, str]

    def __str__(self):
        return f"{self.page.name}-{self.line}"

    def quick(self):
        """Its text with what makes it short; each replaced text must be there."""
        text = self.text
        for pair in filter(None, self.marker.get("quick", "").split("; ")):
            old, new = pair.split(" -> ")
            assert old in text, f"{self}: {old!r} is not in the block"
            text = text.replace(old, new)
        return text


def marks(marker):
    """Returns what a comment says, by its words."""
    parts = (part.partition(": ") for part in (marker or "").split(" | ") if part)
    return {word.strip(): value.strip() for word, _, value in parts}


def blocks(page):
    source = page.read_text("utf-8")
    return [
        Block(
            page,
            source.count("\n", 0, match.start("text")),
            match["language"],
            match["text"],
            marks(match["marker"]),
        )
        for match in BLOCK.finditer(source)
    ]


ALL = [block for page in PAGES for block in blocks(page)]


def stories():
    """Yields the blocks that one reader types one after the other."""
    found = []
    for block in ALL:
        if block.language not in ("python", "bash") or "not run" in block.marker:
            continue
        if block.marker.keys() & {"continues", "later"}:
            found[-1].append(block)
        else:
            found.append([block])
    for story in found:
        slow = any("slow" in block.marker for block in story)
        yield pytest.param(
            story, id=str(story[0]), marks=[pytest.mark.slow] if slow else []
        )


@contextlib.contextmanager
def every_fourth_image():
    """A quarter of the images of the sample: programs take seconds then."""
    whole = embedded.in_memory

    def every_fourth(train, test, *others):
        few = [tuple(array[::4] for array in part) for part in (train, test)]
        return whole(*few, *others)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedded, "in_memory", every_fourth)
        patch.setenv("COLUMNS", "100")
        yield


@pytest.fixture
def few_images():
    with every_fourth_image():
        yield


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A run as the quickstart leaves one, converted."""
    folder = tmp_path_factory.mktemp("run") / "quickstart-1"
    with every_fourth_image():
        recipes.train(recipes.OneStep(epochs=3, batch_size=50), folder)
        assert larq_bnnopt.cli.main(["convert", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Forty images of each of three classes, as files."""
    folder = tmp_path_factory.mktemp("images")
    pictures, labels = datasets.load(datasets.EMBEDDED).test_arrays()
    for label, name in ((1, "trousers"), (7, "sneakers"), (8, "bags")):
        (folder / name).mkdir()
        for index, picture in enumerate(pictures[labels == label][:40]):
            pixels = tf.cast(tf.round((picture + 1) * 127.5), tf.uint8)
            path = folder / name / f"{index}.png"
            path.write_bytes(tf.io.encode_png(pixels).numpy())
    return folder


@pytest.fixture
def put(request):
    """Puts what the reader of a page has already where the page names it."""

    def run():
        return request.getfixturevalue("run_folder")

    def photographs():
        return request.getfixturevalue("images")

    def package(name):
        assert larq_bnnopt.cli.main(["package", str(run()), name]) == 0

    things = {
        "runs/quickstart-1": lambda name: shutil.copytree(run(), name),
        "runs/first": lambda name: shutil.copytree(run(), name),
        "trained.keras": lambda name: shutil.copy(run() / "model.keras", name),
        "photos": lambda name: shutil.copytree(photographs(), name),
        "photo.jpg": lambda name: shutil.copy(photographs() / "bags" / "0.png", name),
        "device": package,
    }

    def put(name):
        pathlib.Path(name).parent.mkdir(parents=True, exist_ok=True)
        things[name](name)

    return put


def typed(block):
    """Returns the commands of a block of bash, as words."""
    commands, open_line = [], ""
    for line in block.quick().replace("\\\n", " ").splitlines():
        try:
            words = shlex.split(open_line + line, comments=True)
        except ValueError:  # A quotation goes on in the next line.
            open_line += f"{line}\n"
            continue
        open_line = ""
        commands += [command for command in split(words) if command]
    return commands


def split(words):
    """Yields what stands between &&."""
    while "&&" in words:
        yield words[: words.index("&&")]
        words = words[words.index("&&") + 1 :]
    yield words


def run_bash(block):
    """Runs commands of `bnnopt` in this process, which has TensorFlow already."""
    for words in typed(block):
        assert words[0] == "bnnopt", f"{block}: {words[0]} is not run here"
        code = larq_bnnopt.cli.main(words[1:])
        assert code == 0, f"{block}: {shlex.join(words)}: {code}"


def run_python(block, scope):
    exec(compile(block.quick(), str(block), "exec"), scope)


@pytest.mark.usefixtures("few_images")
@pytest.mark.parametrize("story", stories())
def test_runs_as_printed(story, put, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    scope = {}
    for block in story:
        for name in filter(None, block.marker.get("with", "").split(", ")):
            put(name)
        if "continues" not in block.marker:
            scope = {"__name__": "__main__"}
        if block.language == "python":
            run_python(block, scope)
        else:
            run_bash(block)
        if "report.markdown()" in block.text:  # README's: what it promises below.
            assert scope["result"].report.verification.passed
            assert scope["scores"].shape == (250, 10)
            table = capsys.readouterr().out
            assert "| stage3_2_conv | QuantConv2D | LceBconv2d |" in table


@pytest.mark.slow
def test_the_shell_finds_the_command(tmp_path):
    """Once, what runs above in this process is run by a shell in the environment."""
    block = next(
        block
        for block in ALL
        if block.page.name == "training.md" and block.language == "bash"
    )
    first = os.fspath(pathlib.Path(sys.executable).parent)
    subprocess.run(
        ["bash", "-e", "-c", block.quick()],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{first}:{os.environ['PATH']}"},
        check=True,
        timeout=300,
    )


@pytest.mark.parametrize("block", ALL, ids=str)
def test_says_what_it_is(block):
    assert block.language in LANGUAGES, f"{block}: name its language, or text"
    known = {"quick", "with", "continues", "later", "slow", "not run"}
    assert block.marker.keys() <= known, block.marker
    if "not run" in block.marker:
        assert len(block.marker["not run"].split()) > 3, f"{block}: say why"


@pytest.mark.parametrize("block", [b for b in ALL if b.language == "bash"], ids=str)
def test_the_command_knows_its_words(block):
    """Also of what is not run here."""
    parser = larq_bnnopt.cli._parser()
    for words in typed(block):
        name = pathlib.PurePath(words[0]).name
        if name == "bnnopt":
            _, unknown = parser.parse_known_args(words[1:])
            assert not unknown, f"{block}: {shlex.join(words)}"
        elif name == "python" and words[1].endswith(".py"):
            assert (ROOT / words[1]).exists(), f"{block}: {words[1]}"


INLINE = re.compile(r"`(?P<text>bnnopt [a-z][^`]*|python [a-z]+/[^`]*)`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_the_text_are_known(page):
    parser = larq_bnnopt.cli._parser()
    for match in INLINE.finditer(page.read_text("utf-8")):
        words = shlex.split(match["text"])
        if words[0] == "python":
            assert (ROOT / words[1]).exists(), words
        elif any(word.startswith("-") for word in words):
            with contextlib.suppress(SystemExit):  # A word that must be there is not.
                _, unknown = parser.parse_known_args(words[1:])
                assert not unknown, match["text"]
        else:
            assert words[1] in {
                command.__name__.rpartition(".")[2] for command in COMMANDS
            }, match["text"]


COMMANDS = larq_bnnopt.cli.COMMANDS


@pytest.mark.parametrize("block", [b for b in ALL if b.language == "diff"], ids=str)
def test_what_changes_is_what_the_example_does(block):
    example = (ROOT / "examples" / "from_larq_bop.py").read_text("utf-8")
    for line in block.text.splitlines():
        if line.startswith("+"):
            assert line[1:].partition("#")[0].strip() in example


@pytest.mark.usefixtures("few_images")
def test_the_example_from_larq(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["from_larq_bop.py"])
    runpy.run_path(str(ROOT / "examples" / "from_larq_bop.py"), run_name="__main__")
    assert "val_accuracy" in capsys.readouterr().out


NARROW = ["epochs=1", "batch_size=500", "model.blocks=(1,)", "model.filters=[16]"]


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["from_larq_bop.py"], marks=pytest.mark.slow),
        ["zookeeper_experiment.py", "TrainNarrowBiRealNet", *NARROW],
    ],
    ids=lambda words: words[0],
)
def test_examples_run_in_a_process_of_their_own(words, tmp_path):
    """As a reader starts them, larq imported first."""
    run = subprocess.run(
        [sys.executable, ROOT / "examples" / words[0], *words[1:]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert run.returncode == 0, run.stderr[-2000:]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_it_links_to_exists(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_a_block_that_fails_is_seen(tmp_path):
    """The runner runs: what is wrong in a page is found."""
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- quick: 3 -> 4 -->\n```python\nx = 3\nassert x == 4\n```\n\n"
        "```bash\nbnnopt quickstrat\n```\n\n```\nplain\n```\n"
    )
    good, command, plain = blocks(page)
    run_python(good, {})
    with pytest.raises(SystemExit):
        run_bash(command)
    assert plain.language == ""
    with pytest.raises(AssertionError):
        run_python(dataclasses.replace(good, marker={}), {})
