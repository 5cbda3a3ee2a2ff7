"""The README's programs run as they are printed, one after the other."""

import pathlib
import re

README = pathlib.Path(__file__).parent.parent / "README.md"


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
