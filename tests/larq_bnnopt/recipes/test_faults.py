"""Faults around a run: killed processes, full disks, two writers, damaged files."""

import contextlib
import dataclasses
import errno
import fcntl
import json
import os
import pathlib
import shutil
import signal
import socket

import numpy as np
import pytest
import tensorflow as tf

from larq_bnnopt import recipes, writing
from larq_bnnopt.cli import main
from larq_bnnopt.recipes import OneStep, Run, RunInUseError, locking, training
from larq_bnnopt.recipes.locking import RunLock

BYTES = b"caf\xe9"  # Latin-1, no UTF-8.


class Child:
    """A forked process that does some work and then sleeps."""

    def __init__(self, work):
        told, tell = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                kept = work()
                os.write(tell, b"done")
                signal.pause()
                del kept
            finally:
                os._exit(0)
        os.close(tell)
        assert os.read(told, 4) == b"done"
        os.close(told)

    def kill(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0


@pytest.fixture
def child():
    """Makes processes that end with the test."""
    made = []

    def start(work):
        made.append(Child(work))
        return made[-1]

    yield start
    for one in made:
        one.kill()


def test_a_second_lock_of_this_process_is_refused(tmp_path):
    with RunLock(tmp_path) as lock:
        with pytest.raises(RunInUseError) as refused:
            RunLock(tmp_path)
        text = str(refused.value)
        assert f"process {os.getpid()} of {socket.gethostname()} since 2" in text
        assert "\n" not in text and str(tmp_path) in text
    assert not list(tmp_path.iterdir())
    lock.release()  # A second time it does nothing.
    RunLock(tmp_path).release()


def test_an_error_frees_the_lock(tmp_path):
    with pytest.raises(KeyError), RunLock(tmp_path):
        raise KeyError
    RunLock(tmp_path).release()


def test_a_process_holds_the_lock_until_it_is_killed(child, tmp_path):
    other = child(lambda: RunLock(tmp_path))
    with pytest.raises(RunInUseError, match=f"in use by process {other.pid} of"):
        RunLock(tmp_path)
    other.kill()
    assert (tmp_path / locking.NAME).exists()
    with RunLock(tmp_path):
        written = json.loads((tmp_path / locking.NAME).read_text())
        assert written["pid"] == os.getpid()


def test_a_forked_child_neither_frees_nor_keeps_the_lock(child, tmp_path):
    lock = RunLock(tmp_path)
    # Released there, or at the end of its process.
    child(lock.release).kill()
    with pytest.raises(RunInUseError):
        RunLock(tmp_path)
    # It lives on when its parent has let go.
    child(lambda: None)
    lock.release()
    RunLock(tmp_path).release()


def test_the_child_of_a_killed_process_does_not_keep_the_lock(child, tmp_path):
    pids, tell = os.pipe()

    def hold_and_fork():
        lock = RunLock(tmp_path)
        os.write(tell, str(Child(lambda: None).pid).encode())
        return lock

    parent = child(hold_and_fork)
    orphan = int(os.read(pids, 20))
    parent.kill()
    os.kill(orphan, 0)  # It lives.
    RunLock(tmp_path).release()
    os.kill(orphan, signal.SIGKILL)


def test_one_of_many_processes_gets_the_lock(tmp_path):
    """A number that is read, changed and written under the lock counts them all."""
    number, children = tmp_path / "number", []
    number.write_text("0")
    for _ in range(4):
        pid = os.fork()
        if pid == 0:
            try:
                for _ in range(25):
                    lock = None
                    while lock is None:
                        with contextlib.suppress(RunInUseError):
                            lock = RunLock(tmp_path)
                    with lock:
                        number.write_text(str(int(number.read_text()) + 1))
            finally:
                os._exit(0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)
    assert number.read_text() == "100"


def holder(**changes):
    return {**locking._this_process(), **changes}


def dead_pid():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return pid


def no_locks(*arguments):
    raise OSError(errno.ENOLCK, "No locks available")


ELSEWHERE = {"host": "node7", "boot": "another"}


@pytest.mark.parametrize(
    "content, kernel, message",
    [
        # The kernel says that nobody holds it.
        (holder, True, None),
        (lambda: holder(pid=dead_pid()), True, None),
        (lambda: holder(began="1"), True, None),
        (lambda: holder(boot="earlier"), True, None),
        # A container that is gone had another name, and the same kernel.
        (lambda: holder(host="f00d"), True, None),
        (lambda: "", True, None),
        (lambda: "{", True, None),
        (lambda: [1], True, None),
        (lambda: "[" * 100_000, True, None),
        # A disk that two machines see may know locks of each alone.
        (lambda: holder(**ELSEWHERE), True, r"node7 .* If it has ended, delete .*lock"),
        # The disk knows no locks.
        (holder, False, "Wait until it has ended"),
        (lambda: holder(pid=dead_pid()), False, None),
        # Another process has got the number.
        (lambda: holder(began="1"), False, None),
        (lambda: holder(pid="x"), False, None),
        (lambda: holder(boot="earlier"), False, None),
        (lambda: holder(**ELSEWHERE), False, "cannot see whether it still runs"),
    ],
)
def test_lock_files_of_other_processes(content, kernel, message, tmp_path, monkeypatch):
    given = content()
    text = given if isinstance(given, str) else json.dumps(given)
    (tmp_path / locking.NAME).write_text(text)
    if not kernel:
        monkeypatch.setattr(fcntl, "flock", no_locks)
    if message is None:
        with RunLock(tmp_path):
            written = json.loads((tmp_path / locking.NAME).read_text())
            assert written == holder(since=written["since"])
    else:
        with pytest.raises(RunInUseError, match=message):
            RunLock(tmp_path)
        assert (tmp_path / locking.NAME).read_text() == text


def test_a_link_in_its_place_loses_no_other_file(tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("kept")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / locking.NAME).symlink_to(precious)
    with pytest.raises(OSError, match="lock"):
        RunLock(tmp_path / "run")
    assert precious.read_text() == "kept"
    (tmp_path / "run" / locking.NAME).unlink()
    os.mkfifo(tmp_path / "run" / locking.NAME)
    with pytest.raises(OSError):  # It does not wait.
        RunLock(tmp_path / "run")


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    file = tmp_path / "page.html"
    writing.write_text(file, "old")
    with pytest.raises(KeyError), writing.replacing(file) as new:
        new.write_text("half")
        raise KeyError
    assert file.read_text() == "old" and os.listdir(tmp_path) == ["page.html"]
    with pytest.raises(FileNotFoundError), writing.replacing(file):
        pass  # Nothing was written.
    assert file.read_text() == "old" and os.listdir(tmp_path) == ["page.html"]
    writing.write_text(file, "a path \udce9")
    assert file.read_text() == "a path \\udce9"


def test_the_file_of_a_killed_writer_is_removed(child, tmp_path):
    file = tmp_path / "history.csv"
    writing.write_text(file, "old")

    def write_half():
        kept = writing.replacing(file)
        kept.__enter__().write_text("half")
        return kept

    child(write_half).kill()
    assert file.read_text() == "old" and len(writing.unfinished(tmp_path)) == 1
    Run(tmp_path).drop_unfinished()
    assert os.listdir(tmp_path) == ["history.csv"]


class During(tf.keras.callbacks.Callback):
    """Does something at the end of an epoch."""

    def __init__(self, work):
        super().__init__()
        self.work = work

    def on_epoch_end(self, epoch, logs=None):
        self.work()


@pytest.fixture(scope="module")
def few(images):
    return OneStep(epochs=1, batch_size=72, dataset=images, image_size=16)


@pytest.fixture(scope="module")
def trained(few, tmp_path_factory):
    """A run in a folder whose name is not UTF-8, and what was refused meanwhile."""
    parent = tmp_path_factory.mktemp("faults")
    folder = pathlib.Path(os.fsdecode(os.fsencode(parent) + b"/" + BYTES))
    refused = []

    def twice():
        for again in (
            lambda: recipes.resume(Run(folder)),
            lambda: recipes.train(few, folder),
            lambda: main(["convert", str(folder)]),
        ):
            try:
                refused.append(again())
            except (RunInUseError, FileExistsError) as error:
                refused.append(str(error))

    recipes.train(few, folder, [During(twice)])
    return folder, refused


def test_a_run_in_training_is_not_written_to(trained):
    folder, refused = trained
    assert "in use by process" in refused[0]
    assert "is not overwritten" in refused[1]
    assert refused[2] == 1
    assert len(recipes.History.of(Run(folder)).columns["epoch"]) == 1
    assert not (folder / locking.NAME).exists()


def test_a_folder_whose_name_is_no_utf_8_is_trained_and_has_its_report(trained):
    folder, _ = trained
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "caf" in page
    assert {"model.keras", "flips.png", "history.csv"} <= set(os.listdir(folder))


def test_missing_plots_of_the_last_epoch_are_drawn_on_resuming(trained):
    folder, _ = trained
    before = {name: (folder / name).read_bytes() for name in os.listdir(folder)}
    # Killed while it wrote the page, and before it drew the picture.
    (folder / "report.html").write_text("of the epoch before")
    (folder / ".report.html.part").write_text("half")
    (folder / ".report.part17.html").write_text("half")
    (folder / "flips.png").unlink()
    recipes.resume(Run(folder))
    assert {n: (folder / n).read_bytes() for n in os.listdir(folder)} == before


def test_a_report_that_cannot_be_written_ends_no_training(trained, monkeypatch):
    run = Run(trained[0])
    for error in (OSError(errno.ENOSPC, "No space left"), RuntimeError("a font")):

        def fail(run, error=error):
            raise error

        monkeypatch.setattr(recipes.pages, "write_page", fail)
        with pytest.warns(UserWarning, match="could not be written .* bnnopt report"):
            recipes.pages.Page(run).on_epoch_end(0)


def test_a_plot_that_cannot_be_drawn_ends_no_command(trained, monkeypatch):
    run = Run(trained[0])
    before = run.picture.read_bytes()
    run.picture.unlink()

    def fail(*arguments):
        raise RuntimeError("a font is missing")

    with monkeypatch.context() as patched:
        patched.setattr(training, "plot_flips", fail)
        with pytest.warns(UserWarning, match="could not be drawn .a font is missing"):
            recipes.resume(run)
    assert not run.picture.exists() and not list(run.folder.glob(".*"))
    recipes.resume(run)
    assert run.picture.read_bytes() == before


def test_nothing_is_left_of_a_run_without_an_epoch(few, tmp_path):
    def fail():
        raise RuntimeError("of a callback")

    with pytest.raises(RuntimeError, match="of a callback"):
        recipes.train(few, tmp_path / "run", [During(fail)])
    assert os.listdir(tmp_path) == []


class SpoilImages(tf.keras.callbacks.Callback):
    """Spoils the images of a folder when the training begins."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def on_train_begin(self, logs=None):
        for path in self.folder.rglob("*.png"):
            path.write_bytes(path.read_bytes()[:-20])


def test_an_image_that_is_damaged_during_training_is_named(few, images, tmp_path):
    folder = pathlib.Path(shutil.copytree(images, tmp_path / "images"))
    recipe = dataclasses.replace(few, dataset=str(folder))
    with pytest.raises(ValueError, match=r"180 of the 180 images .*\.png is damaged"):
        recipes.train(recipe, tmp_path / "run", [SpoilImages(folder)])
    # The next training is refused before anything is built.
    with pytest.raises(ValueError, match=r"\.png is damaged"):
        recipes.train(recipe, tmp_path / "run")
    assert os.listdir(tmp_path) == ["images"]


def test_a_number_that_another_training_took_is_not_taken_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = []

    def train(recipe, folder, *others):
        folders.append(str(folder))
        if len(folders) == 1:  # Another one was faster.
            folder.mkdir(parents=True)
        Run.create(folder).write_config({})

    monkeypatch.setattr(recipes, "train", train)
    assert main(["train"]) == 0
    assert folders == [os.path.join("runs", f"train-{number}") for number in (1, 2)]


GOOD = OneStep(epochs=1).as_dict()


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "is damaged"),
        (b"{", "is damaged"),
        (b"\xff\xfe{}", "is damaged"),
        (b"[" * 200_000, "is damaged"),
        (b"[1, 2]", r"is damaged: it is \[1, 2\]"),
        (b"null", "is damaged: it is None"),
        # Of something else, such as a language model.
        (b'{"architectures": ["Bert"], "hidden_size": 768}', "it has no recipe"),
        ({"recipe": [1]}, r"its 'recipe' is no object, but \[1\]"),
        ({"recipe": []}, "its 'recipe' is no object"),
        ({"recipe": None}, "its 'recipe' is no object, but None"),
        ({"recipe": "one_step"}, "its 'recipe' is no object, but 'one_step'"),
        ({"recipe": {**GOOD, "speed": 3}}, "is of another version: .*speed"),
        ({"recipe": {**GOOD, "kind": "three_step"}}, "No recipe 'three_step'"),
        ({"recipe": {**GOOD, "kind": ["x"]}}, "No recipe"),
        ({"recipe": {**GOOD, "epochs": "12"}}, "epochs must be an integer. Receiv"),
        ({"recipe": {**GOOD, "epochs": True}}, "epochs must be an integer"),
        ({"recipe": {**GOOD, "epochs": 1.5}}, "epochs must be an integer"),
        ({"recipe": {**GOOD, "epochs": None}}, "epochs must be an integer"),
        ({"recipe": {**GOOD, "augment": "no"}}, "augment must be a bool"),
        ({"recipe": {**GOOD, "dataset": 3}}, "dataset must be a text"),
        ({"recipe": {**GOOD, "alpha": [1]}}, r"alpha must be a number or None"),
        ({"recipe": {**GOOD, "learning_rate": float("nan")}}, "must be finite"),
        ({"recipe": {**GOOD, "learning_rate": float("inf")}}, "must be finite"),
        ({"recipe": {**GOOD, "batch_size": -3}}, "batch_size must be at least 1"),
        ({"recipe": {**GOOD, "image_size": 0}}, "image_size must be an int"),
        ({"recipe": GOOD, "began_with": 7}, "its 'began_with' is no object, but 7"),
        ({"recipe": GOOD, "began_with": {"data": "x"}}, "has changed: data"),
        ({"recipe": {"kind": "fine_tune", "start": ["x"]}}, "start must be a text"),
        ({"recipe": {"kind": "two_step", "first_epochs": "x"}}, "first_epochs must be"),
    ],
)
def test_a_foreign_configuration_is_one_line(content, message, tmp_path):
    if not isinstance(content, bytes):
        content = json.dumps(content).encode()
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        recipes.resume(Run(tmp_path))
    assert "\n" not in str(error.value)
    assert os.listdir(tmp_path) == ["config.json"]


def test_numbers_of_numpy_and_paths_can_be_saved(tmp_path):
    recipe = OneStep(
        seed=np.int64(3), learning_rate=np.float32(0.5), dataset=tmp_path, epochs=2
    )
    assert json.loads(json.dumps(recipe.as_dict()))["dataset"] == str(tmp_path)
    assert recipe == OneStep(seed=3, learning_rate=0.5, dataset=str(tmp_path), epochs=2)


@pytest.mark.parametrize(
    "name, content",
    [
        ("history.csv", b"epoch,loss\n0,x\n"),
        ("history.csv", b"epoch,loss\n0,\x00\n"),
        ("history.csv", b"epoch,loss\n0,\xff\n"),
        ("recalibration.json", b"{"),
        ("recalibration.json", b'{"speed": 1}'),
        ("recalibration.json", b"[]"),
    ],
)
def test_damaged_tables_are_named(name, content, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"recipe": GOOD}))
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name} is damaged") as error:
        recipes.History.of(Run(tmp_path))
    assert "\n" not in str(error.value)
