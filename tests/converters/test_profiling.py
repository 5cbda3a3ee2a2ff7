"""Times by arithmetic on a fake clock, bytes by the file; no time is asserted."""

import json

import numpy as np
import pytest
import tensorflow as tf

import converters
from converters.profiling import alternate, copies_for, seconds_of_one
from converters.runtime import Interpreter, TfliteFile

from .conftest import conv, noise


def split():
    """One operator has two outputs, and two convolutions read the same constants."""
    tf.keras.utils.set_random_seed(0)
    inputs = tf.keras.Input((8, 8, 64))
    one, two = tf.split(conv(name="first", filters=64)(inputs), 2, axis=-1)
    parts = [conv(name="second")(one), conv(name="third")(two)]
    return tf.keras.Model(inputs, tf.keras.layers.Add()(parts))


@pytest.fixture(scope="module")
def converted(trained):
    model, images, _ = trained
    return model, images, converters.convert(model, inputs=None).content


class Machine:
    """A clock that functions of known cost push on."""

    def __init__(self):
        self.now = 0.0

    def clock(self):
        return self.now

    def taking(self, *seconds):
        waits = iter(seconds)

        def call():
            self.now += next(waits)

        return call


def test_functions_take_turns_until_the_time_is_over():
    machine = Machine()
    calls = [machine.taking(1, 5, 1, 1, 9), machine.taking(2, 2, 6, 2, 9)]
    times = alternate(calls, 18.0, machine.clock)
    # 3, 10 and 17 seconds are before the end, 20 are not.
    assert times == [[1, 5, 1, 1], [2, 2, 6, 2]]
    machine = Machine()
    assert alternate([machine.taking(7, 8, 9)], 0.0, machine.clock) == [[7, 8, 9]]


def test_the_cost_of_a_call_drops_out():
    """An operator of 4 ticks under a call of 100 and noise of its own."""
    once = [100 + 4 + noise for noise in (0, 3, 9)]
    often = [100 + 4 * 11 + noise for noise in (23, 13, 0)]
    assert seconds_of_one(once, often, copies=11) == (4.0, 5.0)
    assert seconds_of_one(often, once, copies=11) == (0.0, 0.0)


def test_short_operators_have_more_copies_but_never_too_much_memory():
    assert copies_for(1e-5, 100) == 21
    assert copies_for(1e-9, 100) == 65
    assert copies_for(1.0, 100) == 3
    assert copies_for(1e-5, 2**22) == 4
    assert copies_for(1e-5, 2**30) == 2


@pytest.mark.parametrize("name", ["trained", "split"])
def test_each_operator_alone_computes_what_it_computes_in_the_file(name, converted):
    _, images, content = converted
    if name == "split":
        model = split()
        images, content = noise(model), converters.convert(model, inputs=None).content
    file = TfliteFile(content)
    if name == "split":
        assert any(len(operator.outputs) > 1 for operator in file.operators)
    computed = [t for operator in file.operators for t in operator.outputs]
    values = Interpreter(content).intermediate(images[:1], computed)
    values[file.inputs[0]] = images[:1]
    for index, operator in enumerate(file.operators):
        repeated, inputs = file.repeated(index, 4)
        alone = TfliteFile(repeated)
        names = [one.name for one in alone.operators if one.name != "SHAPE"]
        assert names == [operator.name] * 4
        # XNNPACK leaves out an operator whose outputs nobody reads.
        read = {t for one in alone.operators for t in one.inputs}
        assert all(set(one.outputs) <= read for one in alone.operators
                   if one.name != "SHAPE")  # fmt: skip
        found = Interpreter(repeated).run_once([values[tensor] for tensor in inputs])
        for tensor, array in zip(operator.outputs, found, strict=True):
            np.testing.assert_array_equal(array, values[tensor], operator.name)
        # Constants are in it once: what comes with a copy is its description.
        larger = len(file.repeated(index, 5)[0]) - len(repeated)
        assert larger < 1000
    assert TfliteFile(content).content == file.content == content


def test_every_operator_is_listed_and_the_bytes_add_up(converted):
    model, images, content = converted
    file = TfliteFile(content)
    result = converters.profile(content, images, model=model, seconds=0.05)
    assert [one.name for one in result.operators] == [o.name for o in file.operators]
    assert [one.index for one in result.operators] == list(range(len(file.operators)))
    assert all(one.milliseconds is not None for one in result.operators)
    assert result.num_bytes == len(content)
    # The rest describes the graph: some 300 bytes an operator.
    rest = len(content) - result.constant_bytes
    assert 0 < rest < 400 * len(file.operators)
    layers = {one.index: one.layer for one in result.operators if one.layer}
    audited = converters.audit(model, content).converted
    assert layers == {layer.operator: layer.name for layer in audited}
    assert len(layers) == 6
    totals = {total.name: total for total in result.totals()}
    assert totals["LceBconv2d"].count == 6
    for field in ("count", "num_bytes"):
        ours = sum(getattr(total, field) for total in totals.values())
        assert ours in (len(file.operators), result.constant_bytes)
    times = sum(total.milliseconds for total in totals.values())
    assert times == pytest.approx(result.sum_milliseconds)


def test_constants_of_two_operators_are_counted_with_the_first():
    content = converters.convert(split(), inputs=None).content
    result = converters.profile(content, seconds=0.05)
    convolutions = [one for one in result.operators if one.name == "LceBconv2d"]
    words = [64 * 9 * 2, 32 * 9, 32 * 9]
    # Multipliers and biases: 64 and 64, then 32 and 32 for the other two.
    values = [2 * 64, 2 * 32, 0]
    found = [one.num_bytes for one in convolutions]
    assert found == [4 * (w + v) for w, v in zip(words, values)]
    assert convolutions[2].shared == (convolutions[1].index,)


def test_a_file_alone_is_enough(converted, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(converted[2])
    result = converters.profile(path, seconds=0.05)
    assert not any(one.layer for one in result.operators)
    content = json.loads(json.dumps(result.as_dict()))
    assert len(content["operators"]) == len(result.operators)
    page = result.markdown()
    assert page.startswith("# Profile\n") and "| LceBconv2d | 6 |" in page
    widths = {len(row) for row in result.rows()}
    assert len(widths) == 1 and len(result.rows()) == len(result.operators) + 2


def test_what_cannot_run_alone_is_named_and_not_guessed(converted, monkeypatch):
    real = TfliteFile.repeated

    def spoilt(self, operator, copies):
        content, inputs = real(self, operator, copies)
        code = b"LceBconv2d"
        return content.replace(code, code[::-1]), inputs

    monkeypatch.setattr(TfliteFile, "repeated", spoilt)
    result = converters.profile(converted[2], seconds=0.05)
    untimed = [one.index for one in result.operators if one.milliseconds is None]
    names = {one.name for one in result.operators if one.milliseconds is None}
    assert names == {"LceBconv2d"} and len(untimed) == 6
    assert f"do not run alone: {', '.join(map(str, untimed))}." in result.summary()
    assert any(row[1] == "LceBconv2d" and row[3] == "" for row in result.rows())


def test_bad_input_is_one_clear_error(converted, tmp_path):
    _, images, content = converted
    path = tmp_path / "model.tflite"
    for spoilt in (b"", b"PK\x03\x04 not a model at all", content[:5000]):
        path.write_bytes(spoilt)
        with pytest.raises(ValueError, match=r"model.tflite is (not|a damaged)"):
            converters.profile(path)
    with pytest.raises(ValueError, match=r"is \('batch', 28, 28, 1\) of float32"):
        converters.profile(content, images[:, :14])
    with pytest.raises(ValueError, match="contain less than 1 samples"):
        converters.profile(content, images[:0])
    with pytest.raises(ValueError, match="seconds must be positive"):
        converters.profile(content, seconds=0.0)
    with pytest.raises(FileNotFoundError):
        converters.profile(tmp_path / "missing.tflite")
