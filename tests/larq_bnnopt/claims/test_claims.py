"""The table of claims: what it says of tests, commands, presets and figures holds."""

import ast
import json
import pathlib
import re
import shlex
import subprocess
import sys

import pytest

import larq_bnnopt.cli
from larq_bnnopt import claims, studies
from larq_bnnopt.claims import CLAIMS, table
from larq_bnnopt.cli import main, names

ROOT = pathlib.Path(__file__).parents[3]
PAGE = ROOT / "docs" / "claims.md"
WITH_COMMAND = [claim for claim in CLAIMS if claim.command]
by_id = pytest.mark.parametrize("claim", WITH_COMMAND, ids=lambda claim: claim.id)

# Equations, figures, rows of tables and set-ups that the papers have.
EXPECTED = {
    "000": {"": 7},
    "001": {"eq": 22, "fig": 8, "table-1": 2, "table-2": 7, "table-3": 10, "setup": 3},
    "002": {
        "eq": 3,
        "fig": 6,
        "table-1": 7,
        "table-2": 16,
        "table-3": 20,
        "table-4": 10,
        "setup": 3,
    },
    "003": {"eq": 13, "fig": 5, "table-1": 15, "table-2": 23, "table-3": 6, "setup": 4},
}


def test_every_claim_of_the_papers_has_a_row():
    assert len(CLAIMS) == 194
    for paper, parts in EXPECTED.items():
        ids = [claim.id for claim in CLAIMS if claim.paper == paper]
        for part, number in parts.items():
            prefix = f"{paper}-{part}-" if part else f"{paper}-"
            assert sum(one.startswith(prefix) for one in ids) == number, prefix
    # Numbers of equations and rows have no gap.
    for paper in EXPECTED:
        numbered = [c.id.rpartition("-") for c in claims.select(paper)]
        for prefix in {head for head, _, last in numbered if last.isdigit()}:
            last = [int(n) for head, _, n in numbered if head == prefix and n.isdigit()]
            # Not in the text of the one; 3a and 3b of the other.
            gaps = {"002-fig": {4}, "003-fig": {3}}.get(prefix, set())
            expected = [n for n in range(1, max(last) + 1) if n not in gaps]
            assert sorted(last) == expected, prefix


def test_studies_show_a_claim_once_they_have_a_result():
    verdicts = {
        path.parent.name: re.search(r"Verdict: \*\*(.+)\*\*", path.read_text())[1]
        for path in ROOT.glob("docs/results/*/result.md")
    }
    assert verdicts == table.RESULTS
    for claim in claims.select(state="yes"):
        if claim.command.startswith("bnnopt study "):
            assert claim.command.split()[-1] in verdicts


def test_ids_are_unique_and_readable():
    ids = [claim.id for claim in CLAIMS]
    assert len(set(ids)) == len(ids)
    for one in ids:
        assert re.fullmatch(r"00[0-3](-[a-z0-9]+)+", one)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_a_row_is_sound(claim):
    assert claim.state in claims.STATES
    assert claim.paper in claims.PAPERS
    assert claim.claim.endswith(".") and claim.place
    if claim.state != "yes":
        assert len(claim.reason.split()) > 1
    if claim.state in ("yes", "printed"):
        assert claim.command
    if claim.where:
        assert (ROOT / claim.where).is_file()


def functions(path):
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef)
    }


def check_pytest(words):
    (node,) = [word for word in words if "::" in word]
    file, _, name = node.partition("::")
    function, _, case = name.partition("[")
    path = ROOT / file
    assert function in functions(path), node
    if case:
        model = case.rstrip("]").partition("-")[0]
        assert names.plain(model) in map(names.plain, names.MODELS) or model in (
            "mobilenet_v1_0.5", "mobilenet_v1_0.75", "mobilenet_v1_1.0",
        )  # fmt: skip


def check_bnnopt(words):
    parser = larq_bnnopt.cli._parser()
    arguments, unknown = parser.parse_known_args(words)
    assert not unknown, unknown
    if words[0] == "train":
        names.require("preset", arguments.preset, names.PRESETS)
        names.require_model(arguments.model)
        # Data of the user are in capitals.
        if arguments.dataset != "DIGITS":
            names.require_dataset(arguments.dataset)
    if words[0] == "study":
        names.require("study", arguments.name, studies.names())
    if words[0] == "models":
        names.require_model(arguments.name)


def check_python(words):
    if words[0] == "-c":
        ast.parse(words[1])
    else:
        assert (ROOT / words[0]).is_file()


CHECKS = {"pytest": check_pytest, "bnnopt": check_bnnopt, "python": check_python}


def quoted(reason):
    """The commands that a reason names."""
    return re.findall(r"`((?:bnnopt|pytest|python) [^`]*)`", reason)


@by_id
def test_a_command_exists(claim):
    for command in [claim.command, *quoted(claim.reason)]:
        program, *words = shlex.split(command)
        CHECKS[program](words)


@pytest.mark.slow
@pytest.mark.parametrize(
    "file",
    sorted(
        {
            word.partition("::")[0]
            for claim in WITH_COMMAND
            for word in shlex.split(claim.command)
            if "::" in word
        }
    ),
)
def test_pytest_collects_what_is_named(file):
    named = {
        word.partition("::")[2]
        for claim in WITH_COMMAND
        for word in shlex.split(claim.command)
        if word.partition("::")[0] == file
    }
    command = ["-m", "pytest", "-n", "0", "-m", "", "-q", "--collect-only", file]
    run = subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=True
    )
    collected = {line.partition("::")[2] for line in run.stdout.splitlines()}
    collected |= {name.partition("[")[0] for name in collected}
    assert named <= collected


PRINTED = [claim for claim in CLAIMS if "zx.published" in claim.command]


@pytest.mark.parametrize("claim", PRINTED, ids=lambda claim: claim.id)
def test_printed_rows_are_among_the_figures(claim):
    """A table of the paper holds the row, with the accuracy that the claim states."""
    import zoo_extensions as zx

    (model,) = re.findall(r"published\('(.+?)'\)", claim.command)
    source = f"paper {claim.paper}, table "
    rows = [row for row in zx.published(model) if row.source.startswith(source)]
    accuracies = {f"{row.top1}" for row in rows}
    said = set(re.findall(r"\d+\.\d+", claim.claim))
    assert rows and accuracies & said, (accuracies, claim.claim)


def test_the_page_is_current():
    text = PAGE.read_text("utf-8")
    assert text == claims.claims_page(), "bnnopt claims --markdown > docs/claims.md"


def test_the_page_states_the_counts():
    for paper, by_state in claims.counts().items():
        cells = [*map(str, by_state.values()), str(sum(by_state.values()))]
        name = f"{paper} {claims.PAPERS[paper]}"
        assert f"| {name} | {' | '.join(cells)} |" in claims.claims_page()
    page = claims.claims_page()
    for claim in CLAIMS:
        assert f"| {claim.id} | " in page


def printed(capsys, *words):
    assert main(["claims", *words]) == 0
    return capsys.readouterr().out


def test_json_is_a_list_of_rows(capsys):
    rows = json.loads(printed(capsys, "--json"))
    assert [row["id"] for row in rows] == [claim.id for claim in CLAIMS]
    keys = ["id", "paper", "place", "claim", "state", "reason", "command"]
    assert all(list(row) == keys for row in rows)
    some = json.loads(printed(capsys, "--json", "--paper", "003", "--state", "no"))
    assert {(row["paper"], row["state"]) for row in some} == {("003", "no")}


def test_markdown_is_the_page_or_a_part_of_it(capsys):
    assert printed(capsys, "--markdown") == claims.claims_page()
    part = printed(capsys, "--markdown", "--paper", "001")
    assert part.count("\n") == 52 + 2 and part in claims.claims_page()


def test_the_terminal_shows_rows_and_one_of_them(capsys):
    table = printed(capsys, "--paper", "000")
    assert "7 claims: " in table and "000-two-step" in table
    one = printed(capsys, "001-eq-5").splitlines()
    assert one[0] == "001-eq-5: paper 001 (gradient filtering), eq. 5"
    claim = next(claim for claim in CLAIMS if claim.id == "001-eq-5")
    assert claim.command in one


@pytest.mark.parametrize(
    "words, message",
    [
        (["--paper", "1"], "No paper '1'. Nearest: 001."),
        (["--state", "qq"], "No state 'qq'. Known: yes, part, no, printed."),
        (["001-fig-55"], "No claim '001-fig-55'. Nearest: 001-fig-5"),
        (["001-fig-5", "--paper", "001"], "An id names one claim; leave out --paper"),
        (["--markdown", "--json"], "not allowed with argument"),
    ],
)
def test_a_wrong_word_is_one_line(words, message, capsys):
    try:
        code = main(["claims", *words])
    except SystemExit as ended:
        code = ended.code
    error = capsys.readouterr().err
    assert code == 2 and error.count("\n") == 1 and message in error


def test_it_needs_no_tensorflow(tmp_path):
    program = (
        "import sys; from larq_bnnopt.cli import main; "
        "main(['claims', '--json']); sys.exit('tensorflow' in sys.modules)"
    )
    subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        check=True,
        stdout=subprocess.DEVNULL,
    )
