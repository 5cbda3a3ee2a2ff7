"""Commands that show a claim, as a user types them in the root folder."""

from __future__ import annotations

# A remark on claims that studies run.
AT_SMALL_SCALE = "a study tests it with a small network on Fashion-MNIST"
_OPTIMIZERS = "tests/larq_bnnopt/optimizers"
_FIGURES = "tests/zoo_extensions/test_figures.py"


def tested(file: str, name: str, slow: bool = False) -> str:
    """Returns the command that runs a test.

    Args:
        file: Its file; one of the optimizers, without the folder, or a whole path.
        name: The function, perhaps with the name of a case in brackets.
        slow: Whether it is among the slow tests. Defaults to `False`.
    """
    path = file if "/" in file else f"{_OPTIMIZERS}/{file}"
    node = f"{path}::{name}"
    if "[" in name:
        node = f'"{node}"'
    return f"pytest -n 0 {'-m slow ' if slow else ''}{node}"


def studied(name: str) -> str:
    """Returns the command that runs a study of a claim.

    Args:
        name: The study.
    """
    return f"bnnopt study {name}"


def counted(case: str) -> str:
    """Returns the command that counts a network of this package to the printed digits.

    Args:
        case: Its name, then its arguments, as the test names the case.
    """
    return tested(_FIGURES, f"test_rows_of_our_models[{case}]", slow=True)


def counted_elsewhere(case: str) -> str:
    """Returns the command that counts a network of larq-zoo or of Keras."""
    quick = case == "birealnet18"
    return tested(_FIGURES, f"test_rows_of_networks_elsewhere[{case}]", slow=not quick)


def printed(model: str) -> str:
    """Returns the command that shows the printed figures of a network."""
    call = f"print(*zx.published('{model}'), sep='\\n')"
    return f'python -c "import zoo_extensions as zx; {call}"'
