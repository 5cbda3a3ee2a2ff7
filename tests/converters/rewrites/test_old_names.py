"""Deprecated names of rewrites still work, with a warning that names the new one."""

import pickle
import re
import warnings

import larq as lq
import pytest
import tensorflow as tf

import converters
from converters import rewrites
from converters.rewrites import REWRITES
from converters.rewrites.old_names import NEW_NAMES


@pytest.fixture(scope="module")
def model():
    tf.keras.utils.set_random_seed(1)
    signs = {"input_quantizer": "ste_sign", "kernel_quantizer": "ste_sign"}
    return tf.keras.Sequential(
        [
            tf.keras.Input((64,)),
            tf.keras.layers.BatchNormalization(),
            lq.layers.QuantDense(32, use_bias=False, **signs),
        ]
    )


def said(old):
    return re.escape(f"rewrite {old!r} is now called {NEW_NAMES[old]!r}")


def test_every_old_name_is_that_of_a_rewrite():
    assert set(NEW_NAMES.values()) <= set(REWRITES)
    assert not NEW_NAMES.keys() & set(map(str, REWRITES))


@pytest.mark.parametrize("old", NEW_NAMES)
def test_an_old_name_is_taken_for_the_new_one(old):
    with pytest.warns(DeprecationWarning, match=said(old)):
        assert rewrites.checked_names([old]) == (NEW_NAMES[old],)


def test_convert_takes_old_names(model):
    with pytest.warns(DeprecationWarning, match=said("dense_layers")) as caught:
        report = converters.convert(model, inputs=None, rewrites="dense_layers").report
    (warning,) = (w for w in caught if w.category is DeprecationWarning)
    assert warning.filename == __file__
    (entry,) = report.rewrites
    assert str(entry.name) == "dense_to_conv"
    assert "| dense_to_conv |" in report.markdown()
    assert report.as_dict()["rewrites"][0]["name"] == "dense_to_conv"


def test_readers_of_reports_find_old_names(model):
    (entry,) = converters.convert(
        model, inputs=None, rewrites=["dense_to_conv"]
    ).report.rewrites
    for name in (entry.name, pickle.loads(pickle.dumps(entry)).name):
        with pytest.warns(DeprecationWarning, match=said("dense_layers")) as caught:
            assert name == "dense_layers"
        assert caught[0].filename == __file__
        with pytest.warns(DeprecationWarning, match=said("dense_layers")):
            assert "dense_layers" in [name]


def test_all_but_an_old_name():
    with pytest.warns(DeprecationWarning, match=said("shifts")):
        rest = [name for name in REWRITES if name != "shifts"]
    assert rest == [name for name in REWRITES if name != "fuse_constant_adds"]
    assert len(rest) == len(REWRITES) - 1


def test_new_names_and_wrong_ones_warn_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert rewrites.checked_names(tuple(REWRITES)) == tuple(REWRITES)
        assert rewrites.checked_names(None) == ()
        for name in REWRITES:
            assert name == str(name) and not name != str(name)
            assert name != "padding" and not name == "padding"
            assert name != 1 and not name == 1
        with pytest.raises(ValueError, match="No rewrite 'padding'"):
            rewrites.checked_names("padding")


@pytest.mark.parametrize("old", ["shifts", "prelu_slopes"])
def test_rewrites_are_found_by_old_names(old):
    with pytest.warns(DeprecationWarning, match=said(old)) as caught:
        assert old in REWRITES
    assert caught[0].filename == __file__
    with pytest.warns(DeprecationWarning, match=said(old)) as caught:
        assert REWRITES[old] is REWRITES[NEW_NAMES[old]]
    assert caught[0].filename == __file__
    with pytest.raises(KeyError, match="no_such"):
        REWRITES["no_such"]
    assert "no_such" not in REWRITES
