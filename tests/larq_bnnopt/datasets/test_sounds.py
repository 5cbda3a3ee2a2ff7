"""Sound files as data: splits, windows, log-mel in float64, and bad files by name.

Sines stand for sounds here: no accuracy is measured on them.
"""

import dataclasses
import json
import os
import pathlib
import shutil
import wave

import numpy as np
import pytest
import scipy.signal

from larq_bnnopt import datasets
from larq_bnnopt.datasets import SoundSettings, sound_windows
from larq_bnnopt.datasets import sound_features as features
from larq_bnnopt.datasets.sounds import sound_files

soundfile = pytest.importorskip("soundfile")
RATE = 1000


def tone(path, pitch=100.0, seconds=1.0, rate=RATE, channels=1):
    """Writes a sine of 16 bits by Python's own writer; returns its samples."""
    times = np.arange(round(seconds * rate)) / rate
    samples = np.round(16000 * np.sin(2 * np.pi * pitch * times)).astype("<i2")
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(os.fspath(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.repeat(samples[:, None], channels, axis=1).tobytes())
    return samples / 32768


SMALL = SoundSettings(rate=RATE, seconds=0.2, bands=5)


@pytest.fixture
def folder(tmp_path):
    """Ten sounds of two classes, each of two windows and a rest."""
    for name, pitch in (("high", 300.0), ("low", 50.0)):
        for index in range(10):
            path = tmp_path / name / f"speaker{index % 5}" / f"{index}.wav"
            tone(path, pitch + index, 0.45)
    SMALL.write(tmp_path)
    return tmp_path


def load(folder, **options):
    return datasets.load(os.fspath(folder), **{"batch_size": 4, **options})


def test_a_folder_of_sounds_is_a_data_set_that_repeats(folder):
    data = load(folder, seed=2)
    assert (data.kind, data.task) == ("sounds", "classification")
    assert data.class_names == ("high", "low") and data.input_shape == SMALL.shape
    # Two windows of each file.
    assert data.train_size + data.test_size == 40
    straight = list(data.train_from(0).take(3 * data.steps_per_epoch))
    resumed = list(load(folder, seed=2).train_from(2).take(data.steps_per_epoch))
    for (x, y), (same_x, same_y) in zip(straight[-data.steps_per_epoch :], resumed):
        np.testing.assert_array_equal(x, same_x)
        np.testing.assert_array_equal(y, same_y)
    assert datasets.kind_of(os.fspath(folder)) == "sounds"
    before = data.fingerprint
    tone(folder / "low" / "speaker0" / "0.wav", 51.0, 0.45)
    assert load(folder).fingerprint != before


def test_settings_make_a_folder_with_pictures_one_of_sounds(folder):
    (folder / "low" / "spectrogram.png").write_bytes(b"no picture is read here")
    assert datasets.kind_of(os.fspath(folder)) == load(folder).kind == "sounds"


def test_windows_of_a_file_stay_in_one_split_and_equal_names_too(folder):
    names, train, held = sound_files(folder, SMALL)
    assert names == ("high", "low")
    for files in (train, held):
        by_name = [{path.name for path in files[name]} for name in names]
        assert by_name[0] == by_name[1] and by_name[0]
    tone(folder / "low" / "speaker0" / "new.wav")
    _, again, more = sound_files(folder, SMALL)
    assert set(held["low"]) <= set(more["low"]) and set(train["low"]) <= set(
        again["low"]
    )


def test_speakers_are_kept_apart(folder):
    by_speaker = SoundSettings(rate=RATE, bands=5, split="speaker")
    names, train, held = sound_files(folder, by_speaker)
    for name in names:
        spoken = [{p.parent.name for p in files[name]} for files in (train, held)]
        assert len(spoken[0]) == 4 and len(spoken[1]) == 1
    # Those of several classes are on one side in all of them.
    everyone = [
        {p.parent.name for name in names for p in files[name]}
        for files in (train, held)
    ]
    assert not everyone[0] & everyone[1]
    tone(folder / "low" / "beside.wav")
    with pytest.raises(ValueError, match=r"beside.wav lies in no folder of a speaker"):
        sound_files(folder, by_speaker)


def test_one_speaker_cannot_be_kept_apart(tmp_path):
    for name in ("a", "b"):
        tone(tmp_path / name / "alone" / "1.wav")
    settings = SoundSettings(split="speaker")
    with pytest.raises(ValueError, match=r"a has no file for the test. Add files or"):
        sound_files(tmp_path, settings)


def test_a_list_names_the_test(folder):
    (folder / "test.txt").write_text("high/speaker1\n\nlow/speaker2/2.wav\n")
    _, train, held = sound_files(folder, SMALL)
    assert {p.name for p in held["high"]} == {"1.wav", "6.wav"}
    assert {p.name for p in held["low"]} == {"2.wav"}
    assert len(train["low"]) == 9
    (folder / "test.txt").write_text("high/nobody\n")
    with pytest.raises(ValueError, match=r"test.txt, line 1: 'high/nobody' is no file"):
        sound_files(folder, SMALL)


def test_folders_train_and_test_are_taken(tmp_path):
    for part, count in (("train", 3), ("val", 2)):
        for name in ("a", "b"):
            for index in range(count):
                tone(tmp_path / part / name / f"{index}.wav")
    _, train, held = sound_files(tmp_path, SMALL)
    assert (len(train["a"]), len(held["b"])) == (3, 2)
    assert load(tmp_path, batch_size=2).input_shape == (61, 40, 1)
    for path in (tmp_path / "val" / "b").iterdir():
        path.unlink()
    with pytest.raises(ValueError, match=r"val/b holds no sound \(.wav"):
        sound_files(tmp_path, SMALL)


def test_samples_are_those_of_the_file(tmp_path):
    wanted = tone(tmp_path / "one.wav", seconds=0.45, channels=2)
    plain = SoundSettings(rate=RATE, seconds=0.2, features="waveform")
    got = sound_windows(tmp_path / "one.wav", plain)
    np.testing.assert_allclose(got, wanted[:400].reshape(2, 200), atol=1e-7)
    # Shorter than a window: filled up.
    short = tone(tmp_path / "short.wav", seconds=0.05)
    (got,) = sound_windows(tmp_path / "short.wav", plain)
    np.testing.assert_allclose(got, np.pad(short, (0, 150)), atol=1e-7)


def test_other_rates_are_resampled(tmp_path):
    samples = tone(tmp_path / "one.wav", pitch=50.0, rate=3000)
    got = features.read_samples(tmp_path / "one.wav", RATE)
    expected = scipy.signal.resample_poly(samples, 1, 3)
    np.testing.assert_allclose(got, expected, atol=1e-6)
    # The same sine, away from its ends.
    sine = 16000 / 32768 * np.sin(2 * np.pi * 50 * np.arange(1000) / RATE)
    np.testing.assert_allclose(got[50:-50], sine[50:-50], atol=2e-3)


def test_log_mel_in_float64():
    """Frames, Hann window, power and triangles on the mel scale, by NumPy."""
    samples = np.random.default_rng(0).normal(0, 0.1, (2, 200))
    frame, step, bins = 32, 16, 17
    frames = np.lib.stride_tricks.sliding_window_view(samples, frame, axis=1)[:, ::step]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(frame) / frame)
    power = np.abs(np.fft.rfft(frames * hann)) ** 2

    def mel(hertz):
        return 1127.0 * np.log1p(np.asarray(hertz) / 700.0)

    edges = np.linspace(mel(20.0), mel(RATE / 2), SMALL.bands + 2)
    places = mel(np.linspace(0, RATE / 2, bins))[:, None]
    rise = (places - edges[:-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[2:] - places) / (edges[2:] - edges[1:-1])
    filters = np.maximum(0, np.minimum(rise, fall))
    filters[0] = 0  # The mean is left out.
    expected = np.log(power @ filters + 1e-6)
    got = SMALL.inputs(samples.astype(np.float32))
    assert got.shape == (2, *SMALL.shape) == (2, 11, 5, 1)
    np.testing.assert_allclose(got[..., 0], expected, atol=2e-3)


def test_a_pitch_is_in_its_band(tmp_path):
    low, high = (tmp_path / name for name in ("low.wav", "high.wav"))
    tone(low, 60.0)
    tone(high, 420.0)
    bands = [sound_windows(p, SMALL).mean(axis=(0, 1, 3)).argmax() for p in (low, high)]
    assert bands == [0, 4]


def empty(path):
    tone(path, seconds=0)


@pytest.mark.parametrize(
    "damage, message",
    [
        (empty, r"0.wav holds no sample"),
        (lambda path: path.write_bytes(b"RIFF1234"), "0.wav is no sound that can be"),
        (lambda path: path.write_bytes(b""), "0.wav is no sound that can be read"),
        (lambda path: (path.unlink(), path.mkdir()), "0.wav is no file"),
    ],
)
def test_bad_sounds_are_named(folder, damage, message):
    path = folder / "low" / "speaker0" / "0.wav"
    damage(path)
    with pytest.raises(ValueError, match=message) as error:
        load(folder)
    assert str(error.value).startswith(f"1 of the 20 sounds of {folder} cannot be read")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "content, message",
    [
        ({"rate": 10}, "rate must be from 1000 to 192000. Received: 10"),
        ({"rate": "8000"}, "rate has the wrong type. Received: '8000'"),
        ({"seconds": 0}, "seconds must be from 0.064 to 60"),
        ({"bands": 200}, "bands must be at most 129"),
        ({"features": "mfcc"}, "No features 'mfcc'"),
        ({"split": "speakers"}, "No split 'speakers'. Nearest: speaker"),
        ({"windows": 1}, "No entry of .*'windows'"),
    ],
)
def test_wrong_settings_are_one_line(folder, content, message):
    (folder / "sound.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message) as error:
        load(folder)
    assert "sound.json" in str(error.value) and "\n" not in str(error.value)


def test_without_the_library_it_is_named(folder, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "soundfile", None)
    with pytest.raises(ImportError, match=r"needs soundfile.*larq-bnnopt\[sound\]"):
        load(folder)


def test_too_many_windows_are_refused(folder, monkeypatch):
    monkeypatch.setattr("larq_bnnopt.datasets.sounds.LARGEST_IN_MEMORY", 1000)
    with pytest.raises(ValueError, match=r"40 windows of .* into TFRecords of arrays"):
        load(folder)


def test_the_tool_leaves_out_what_is_no_speech(tmp_path):
    from importlib import util

    path = pathlib.Path(__file__).parents[3] / "tools" / "prepare_voice_prompts.py"
    spec = util.spec_from_file_location("prepare_voice_prompts", path)
    tool = util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    for part in ("en_US_f_Allison", "es_MX_f_Allison"):
        for name in ("yes.wav", "digits/1.wav", "beep.wav", "silence/1.wav"):
            tone(tmp_path / "sounds" / part / name)
    tone(tmp_path / "sounds" / "en_US_f_Allison" / "no.wav", seconds=0)
    count = tool.fill("languages", tmp_path / "sounds", tmp_path / "made")
    assert count == 4
    found = sorted(
        p.relative_to(tmp_path / "made") for p in tmp_path.glob("made/**/*.wav")
    )
    assert [p.parts[0] for p in found] == ["english"] * 2 + ["spanish"] * 2
    assert {p.name for p in found} == {"yes.wav", "1.wav"}
    assert SoundSettings.of(tmp_path / "made") == SoundSettings()


def test_a_run_on_sounds_classifies_files(folder, tmp_path_factory, capsys):
    from larq_bnnopt import recipes
    from larq_bnnopt.cli import main

    recipe = recipes.OneStep(
        dataset=os.fspath(folder),
        model="audio_mlp",
        model_options={"units": 32},
        normalize="per_channel",
        batch_size=4,
        epochs=1,
    )
    run = tmp_path_factory.mktemp("runs") / "run"
    recipes.train(recipe, run)
    sound = os.fspath(folder / "low" / "speaker0" / "0.wav")
    answers = []
    for command in ("predict", "convert", "predict"):
        words = [sound, "--json", "--top", "2"] if command == "predict" else []
        assert main([command, os.fspath(run), *words]) == 0
        out = capsys.readouterr().out
        answers += [json.loads(out)["images"][0]["top"]] if words else []
    model = recipes.load_model(run)
    scores = model.predict(sound_windows(sound, SMALL), verbose=0).mean(axis=0)
    for answer in answers:  # By Keras, and by the file.
        got = {one["class"]: one["score"] for one in answer}
        np.testing.assert_allclose([got["high"], got["low"]], scores, atol=1e-5)
    began = json.loads((run / "config.json").read_text())["began_with"]
    assert began["sound settings"] == dataclasses.asdict(SMALL)
    _is_packaged(run, tmp_path_factory.mktemp("packages") / "device")
    _outlives_its_settings(folder, run, answers[-1], tmp_path_factory, capsys)


def _is_packaged(run, device):
    from larq_bnnopt.cli import main

    assert main(["package", os.fspath(run), os.fspath(device), "--samples", "2"]) == 0
    content = json.loads((device / "metadata.json").read_text())
    assert content["metadata"]["sound"] == dataclasses.asdict(SMALL)
    assert content["preprocessing"] == SMALL.words()
    text = (device / "README.md").read_text()
    assert "1000 Hz" in text and "log-mel" in text and "5 triangular mel bands" in text


def _outlives_its_settings(folder, run, answer, tmp_path_factory, capsys):
    """Other settings of the same shape, then no folder: `predict` says the same."""
    from larq_bnnopt.cli import main

    sound = tmp_path_factory.mktemp("sounds") / "0.wav"
    shutil.copy(folder / "low" / "speaker0" / "0.wav", sound)
    words = ["predict", os.fspath(run), os.fspath(sound), "--json", "--top", "2"]

    def predicted():
        capsys.readouterr()
        assert main(words) == 0
        return json.loads(capsys.readouterr().out)["images"][0]["top"]

    other = dataclasses.replace(SMALL, rate=2 * RATE)
    assert other.shape == SMALL.shape
    other.write(folder)
    assert predicted() == answer
    for refused, message in (
        (["train", "--resume", os.fspath(run)], "sound settings"),
        (["evaluate", os.fspath(run)], "began with {'rate': 1000"),
        (["package", os.fspath(run), os.fspath(run / "device")], "Restore it."),
    ):
        assert main(refused) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
    folder.rename(folder.with_name("away"))
    assert predicted() == answer
    config = json.loads((run / "config.json").read_text())
    for value, message in ((7, "is damaged"), ({"rate": 1}, "rate must be from 1000")):
        config["began_with"]["sound settings"] = value
        (run / "config.json").write_text(json.dumps(config))
        assert main(words) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
    del config["began_with"]["sound settings"]  # As in earlier versions.
    (run / "config.json").write_text(json.dumps(config))
    assert main(words) == 2
    assert "does not exist any more, which says how" in capsys.readouterr().err
    folder.with_name("away").rename(folder)
    SMALL.write(folder)
    assert predicted() == answer
    assert main(["predict", os.fspath(run), os.fspath(folder / "sound.json")]) == 2
    error = capsys.readouterr().err
    assert "is not what the run takes: sounds (.wav, .flac, .ogg)" in error
    assert error.count("\n") == 1
