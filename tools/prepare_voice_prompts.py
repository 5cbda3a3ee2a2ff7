"""Makes folders of real speech by class from Debian's Asterisk voice prompts.

The packages have telephone prompts at 8 kHz (CC BY-SA 3.0), 3,386 files of five
speakers. They are fetched by apt, and unpacked into a temporary folder; nothing of them
is part of this project.

    python tools/prepare_voice_prompts.py speakers voices
    bnnopt train --model audio_mlp --dataset voices

`speakers`: which of the five speaks? `languages`: does the one woman who speaks both
speak English or Spanish? Her voice does not tell.
"""

from __future__ import annotations

import argparse
import pathlib
import shutil
import subprocess
import tempfile

from larq_bnnopt.datasets import SoundSettings

PACKAGES = (
    *(f"asterisk-core-sounds-{language}-wav" for language in "en es fr it ru".split()),
    "asterisk-prompt-it-menardi-wav",
)
# Class -> folders of the packages. Allison Smith speaks two languages.
TASKS = {
    "speakers": {
        "allison": ("en_US_f_Allison", "es_MX_f_Allison"),
        "carlo": ("it_IT_m_Carlo",),
        "ivrvoice": ("ru_RU_f_IvrvoiceRU",),
        "june": ("fr_CA_f_June",),
        "menardi": ("it_IT_f_Menardi",),
    },
    "languages": {
        "english": ("en_US_f_Allison",),
        "spanish": ("es_MX_f_Allison",),
    },
}
# Not speech.
LEFT_OUT = {
    "silence",
    "ascending-2tone.wav",
    "beep.wav",
    "beeperr.wav",
    "descending-2tone.wav",
    "tt-monkeys.wav",
}
# Bytes of the header of a WAV file.
HEADER = 44


def main() -> None:
    """Fetches the packages and fills the folder."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("folder", type=pathlib.Path, help="folder to make")
    parser.add_argument(
        "--unpacked", type=pathlib.Path, help="the unpacked packages, if they are here"
    )
    arguments = parser.parse_args()
    if arguments.folder.exists():
        parser.error(f"{arguments.folder} exists and is not overwritten.")
    with tempfile.TemporaryDirectory() as temporary:
        root = arguments.unpacked or fetched(pathlib.Path(temporary))
        count = fill(
            arguments.task, root / "usr/share/asterisk/sounds", arguments.folder
        )
    print(f"{arguments.folder} holds {count:,} files.")


def fetched(folder: pathlib.Path) -> pathlib.Path:
    """Returns a folder with the unpacked packages."""
    subprocess.run(["apt-get", "download", *PACKAGES], cwd=folder, check=True)
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg", "-x", package, folder / "x"], check=True)
    return folder / "x"


def fill(task: str, sounds: pathlib.Path, target: pathlib.Path) -> int:
    """Copies the prompts of a task; returns the number of files.

    A prompt has the same name in each language, so that the split by file name keeps a
    prompt of the test out of the training of all classes.
    """
    count = 0
    for name, parts in TASKS[task].items():
        for part in parts:
            for path in sorted((sounds / part).rglob("*.wav")):
                inner = path.relative_to(sounds / part)
                # One file is a header without a sample.
                if LEFT_OUT & set(inner.parts) or path.stat().st_size <= HEADER:
                    continue
                place = target / name / part / inner
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, place)
                count += 1
    SoundSettings().write(target)
    return count


if __name__ == "__main__":
    main()
