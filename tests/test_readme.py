"""The README's programs run as they are printed, one after the other."""

import pathlib
import re

import pytest

from larq_bnnopt.datasets import loading

README = pathlib.Path(__file__).parent.parent / "README.md"


@pytest.fixture
def few_images(monkeypatch):
    """Every fourth training image of the sample: the programs take seconds then."""
    whole = loading._in_memory

    def every_fourth(train, *others):
        return whole(tuple(array[::4] for array in train), *others)

    monkeypatch.setattr(loading, "_in_memory", every_fourth)


@pytest.mark.usefixtures("few_images")
def test_programs(tmp_path, monkeypatch, capsys):
    programs = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    program = "\n".join(programs)
    monkeypatch.chdir(tmp_path)
    scope = {}
    exec(compile(program, "README.md", "exec"), scope)
    assert (tmp_path / "model.tflite").exists()
    assert scope["result"].report.verification.passed
    assert scope["scores"].shape == (1000, 10)
    assert "| stage3_2_conv | QuantConv2D | LceBconv2d |" in capsys.readouterr().out


def test_every_file_it_links_to_exists():
    for page in (README, README.parent / "docs" / "architecture.md"):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
