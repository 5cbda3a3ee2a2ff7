"""Writes the outputs of Larq Compute Engine for every small network, for other hosts.

    python tests/converters/runtime/write_answers.py ANSWERS

`parity.py` compares them there.
"""

import pathlib
import pickle
import sys
import warnings

HERE = pathlib.Path(__file__).resolve().parent
TESTS = HERE.parent.parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(TESTS / "zoo_extensions")]

import numpy as np  # noqa: E402
import small_models  # noqa: E402
import tensorflow as tf  # noqa: E402
import test_models  # noqa: E402
from parity import answers_of  # noqa: E402

import converters  # noqa: E402


def networks():
    """Yields names, models and inputs by name."""
    for name, row in small_models.MODELS.items():
        if row.refused is None:
            yield name, row.model(), row.inputs(samples=2)
    for name in test_models.NARROW:
        tf.keras.utils.set_random_seed(0)
        model = test_models.narrow(name, classifier_activation=None)
        test_models.make_trained_looking(model)
        inputs = np.ascontiguousarray(test_models.images_for(model, 2))
        yield f"narrow_{name}", model, {model.input_names[0]: inputs}


def main():
    """Converts and runs all networks."""
    warnings.simplefilter("ignore")
    everything = {}
    for name, model, inputs in networks():
        content = converters.convert(model, inputs=None).content
        everything[name] = answers_of(content, inputs)
        tf.keras.backend.clear_session()
    with open(sys.argv[1], "wb") as stream:
        pickle.dump(everything, stream)
    print(f"{len(everything)} networks")


if __name__ == "__main__":
    main()
