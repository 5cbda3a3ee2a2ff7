"""Weights of an ordinary BERT: NumPy's outputs, other names, and what does not fit."""

import json
import os
import pathlib

import numpy as np
import pytest
import tensorflow as tf

import zoo_extensions as zx

from .numpy_bert import gelu, hidden_states, random_weights, relu, sentences, softmax
from .test_bert import SMALL, small

save_file = pytest.importorskip("safetensors.numpy").save_file

# The folder of a MiniLM with 6 layers of 384 channels, as Hugging Face has it.
MINILM = "BNNOPT_TEST_MINILM"
STATES = ("embeddings_norm", "layer_0_norm")


def written(path, weights):
    """Writes weights, without those that are `None`."""
    save_file({k: v for k, v in weights.items() if v is not None}, path)
    return path


@pytest.fixture(scope="module")
def weights():
    return random_weights(layers=1)


@pytest.fixture(scope="module")
def file(weights, tmp_path_factory):
    return written(tmp_path_factory.mktemp("bert") / "model.safetensors", weights)


@pytest.fixture(scope="module")
def float_model():
    return small("float", activation="gelu")


def old_names(weights):
    """As the first files have them: a prefix, gamma and beta, more than weights."""
    renamed = {}
    for name, values in weights.items():
        if not name.startswith("classifier"):
            name = "bert." + name
        name = name.replace("LayerNorm.weight", "LayerNorm.gamma")
        renamed[name.replace("LayerNorm.bias", "LayerNorm.beta")] = values
    return {
        **renamed,
        "bert.embeddings.position_ids": np.arange(16)[None],
        "cls.predictions.bias": np.zeros(100, np.float32),
    }


@pytest.mark.parametrize("names", ["usual", "old"])
def test_the_float_model_computes_what_numpy_does(
    float_model, weights, names, tmp_path
):
    theirs = old_names(weights) if names == "old" else weights
    left_out = zx.load_bert(float_model, written(tmp_path / "a.safetensors", theirs))
    assert left_out == (
        ["bert.embeddings.position_ids", "cls.predictions.bias"]
        if names == "old"
        else []
    )
    inputs = sentences()
    expected = hidden_states(weights, *inputs.values(), heads=2)
    outputs = [float_model.get_layer(name).output for name in STATES]
    found = tf.keras.Model(float_model.inputs, outputs)(inputs)
    mask = inputs["attention_mask"] > 0
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours[mask], theirs[mask], rtol=1e-4, atol=1e-5)
    pooled = np.tanh(
        expected[-1][:, 0] @ weights["pooler.dense.weight"].T
        + weights["pooler.dense.bias"]
    )
    logits = pooled @ weights["classifier.weight"].T + weights["classifier.bias"]
    np.testing.assert_allclose(float_model(inputs), softmax(logits), rtol=1e-4)


def test_relu_is_another_function(weights, file):
    model = small("float")
    zx.load_bert(model, file)
    inputs = sentences()
    mask = inputs["attention_mask"] > 0
    found = tf.keras.Model(model.inputs, model.get_layer("layer_0_norm").output)(inputs)
    with_relu, with_gelu = (
        hidden_states(weights, *inputs.values(), heads=2, act=act)[-1]
        for act in (relu, gelu)
    )
    np.testing.assert_allclose(found[mask], with_relu[mask], rtol=1e-4, atol=1e-5)
    assert np.abs(with_relu - with_gelu)[mask].max() > 0.05


def test_a_latent_model_starts_from_them(weights, file):
    model = small("binary")
    zx.load_bert(model, file)
    kernel = model.get_layer("layer_0_query").kernel.numpy()[0, 0]
    expected = weights["encoder.layer.0.attention.self.query.weight"]
    np.testing.assert_array_equal(kernel, expected.T)
    table = model.get_layer("embeddings_word").embeddings.numpy()
    np.testing.assert_array_equal(table, weights["embeddings.word_embeddings.weight"])
    # The first batch in training sets the scales of activations.
    assert float(model.get_layer("layer_0_query").input_quantizer.is_set) == 0


def test_a_latent_free_model_starts_as_the_latent_one(file):
    latent, free = small("binary_weights"), small("binary_weights", latent=False)
    for model in (latent, free):
        zx.load_bert(model, file)
    converted = zx.to_latent_free(latent)
    for ours, expected in zip(free.weights, converted.weights, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-5, err_msg=ours.name)
    inputs = sentences()
    np.testing.assert_allclose(free(inputs), latent(inputs), rtol=1e-4)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_types_of_numbers(float_model, weights, dtype, tmp_path):
    theirs = {
        k: v.astype(tf.as_dtype(dtype).as_numpy_dtype) for k, v in weights.items()
    }
    zx.load_bert(float_model, written(tmp_path / "a.safetensors", theirs))
    bias = float_model.get_layer("pooler").bias.numpy()
    assert bias.dtype == np.float32
    expected = theirs["pooler.dense.bias"].astype(np.float32)
    np.testing.assert_array_equal(bias, expected)


def test_parts_keep_what_the_model_has(float_model, weights, tmp_path):
    layers = [float_model.get_layer(name) for name in ("pooler", "classifier")]
    start = [layer.get_weights() for layer in layers]
    theirs = {
        **{name: values + 1 for name, values in weights.items()},
        "classifier.weight": np.ones((7, 32), np.float32),
        "classifier.bias": np.ones(7, np.float32),
    }
    path = written(tmp_path / "a.safetensors", theirs)
    left_out = zx.load_bert(float_model, path, without=("classifier",))
    assert left_out == ["classifier.bias", "classifier.weight"]
    np.testing.assert_array_equal(layers[1].get_weights()[1], start[1][1])
    assert (layers[0].get_weights()[1] != start[0][1]).all()
    # The file of a network without a classifier lacks nothing then.
    for name in ("classifier.weight", "classifier.bias"):
        del theirs[name]
    path = written(tmp_path / "b.safetensors", theirs)
    assert zx.load_bert(float_model, path, without=("classifier",)) == []


def changed(**arguments):
    return lambda weights: {**weights, **arguments}


LAYER = "encoder.layer.0.output.dense."


@pytest.mark.parametrize(
    "change, message",
    [
        (
            changed(**{"classifier.bias": None, "classifier.weight": None}),
            r"lacks classifier.weight, classifier.bias\. without=\('classifier',\) ",
        ),
        (
            changed(**{"classifier.weight": np.zeros((7, 32), np.float32)}),
            r"classifier.weight is \(7, 32\), and classifier of the model takes "
            r"\(3, 32\)\. without=\('classifier',\) leaves it",
        ),
        (
            changed(**{LAYER + "bias": None}),
            f"lacks {LAYER}bias. num_layers of the model must be that of the file",
        ),
        (
            lambda weights: random_weights(),
            r"holds encoder\.layer\.1.* and 10 more, for which the model has no place. "
            "num_layers",
        ),
        (
            changed(**{"qa_outputs.bias": np.zeros(2, np.float32)}),
            "holds qa_outputs.bias, for which the model has no place.$",
        ),
        (
            lambda weights: random_weights(layers=1, words=120),
            r"word_embeddings.weight is \(120, 32\), and embeddings_word of the model "
            r"takes \(100, 32\)\. Make the model with vocab_size=120 and hidden_size=",
        ),
        (
            lambda weights: random_weights(layers=1, rows=12),
            "Make the model with max_length=12 and hidden_size=32",
        ),
        (
            lambda weights: random_weights(layers=1, middle=48),
            r"is \(48, 32\), and layer_0_intermediate of the model takes \(64, 32\)\. "
            "The sizes",
        ),
        (
            changed(**{LAYER + "bias": np.full(32, np.nan, np.float32)}),
            f"{LAYER}bias holds values that are not finite",
        ),
        (
            changed(**{"bert.pooler.dense.bias": np.zeros(32, np.float32)}),
            "holds pooler.dense.bias twice, as bert.pooler.dense.bias and pooler.dense",
        ),
    ],
)
def test_what_does_not_fit_is_named_and_changes_nothing(
    float_model, weights, change, message, tmp_path
):
    before = float_model.get_weights()
    path = written(tmp_path / "a.safetensors", change(weights))
    with pytest.raises(ValueError, match=message) as error:
        zx.load_bert(float_model, path)
    assert "\n" not in str(error.value)
    for now, then in zip(float_model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_what_is_no_file_of_weights_is_named(float_model, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere is no file\. Give the path"):
        zx.load_bert(float_model, tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="is no file"):
        zx.load_bert(float_model, tmp_path)
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(
        ValueError, match=r"model.bin is no safetensors file \(.*safe_s"
    ):
        zx.load_bert(float_model, path)


@pytest.mark.parametrize("without", ["pooler", ("head",), ("pooler", "encoder")])
def test_other_parts_are_named(float_model, file, without):
    with pytest.raises(
        ValueError, match=r"without=.* must be a sequence of pooler and"
    ):
        zx.load_bert(float_model, file, without)


def test_other_models_are_named(file):
    model = tf.keras.Sequential(
        [tf.keras.layers.Dense(1, input_shape=(2,))], name="mlp"
    )
    with pytest.raises(
        ValueError, match=r"mlp must be made by zx\.BinaryBert or one of"
    ):
        zx.load_bert(model, file)


def test_without_a_top_the_pooler_is_too_much(weights, file):
    model = small("float", include_top=False)
    with pytest.raises(
        ValueError, match=r"for which the model has no place\. without="
    ):
        zx.load_bert(model, file)
    zx.load_bert(model, file, without=("pooler", "classifier"))
    expected = weights["encoder.layer.0.output.LayerNorm.bias"]
    np.testing.assert_array_equal(model.get_layer("layer_0_norm").beta, expected)


def test_the_configuration_beside_the_file(float_model, weights, tmp_path, recwarn):
    path = written(tmp_path / "model.safetensors", weights)
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"num_attention_heads": 2, "hidden_act": "gelu"}))
    zx.load_bert(float_model, path)
    assert not [w for w in recwarn if "config.json" in str(w.message)]
    config.write_text(json.dumps({"num_attention_heads": 4}))
    with pytest.raises(ValueError, match="has 4 attention heads, the model 2: make it"):
        zx.load_bert(float_model, path)
    config.write_text(json.dumps({"hidden_act": "relu"}))
    with pytest.warns(UserWarning, match="has the activation 'relu', the model 'gelu'"):
        zx.load_bert(float_model, path)
    config.write_text(json.dumps({"layer_norm_eps": 1e-3}))
    with pytest.warns(UserWarning, match=r"layer_norm_eps 0\.001, the model 1e-12"):
        zx.load_bert(float_model, path)
    config.write_text("no JSON")
    with pytest.warns(UserWarning, match=r"config\.json cannot be read"):
        zx.load_bert(float_model, path)


def minilm(folder):
    (path,) = pathlib.Path(folder).glob("*.safetensors")
    model = zx.BinaryBert(
        input_shape=(16,),
        num_layers=6,
        hidden_size=384,
        num_heads=12,
        intermediate_size=1536,
        precision="float",
        activation="gelu",
        include_top=False,
    )
    return path, model


@pytest.mark.slow
@pytest.mark.skipif(
    MINILM not in os.environ,
    reason=f"{MINILM} names no folder with the safetensors file of a MiniLM-L6",
)
def test_minilm_computes_what_numpy_does():
    """Real weights, with a configuration beside them."""
    from safetensors.numpy import load_file

    path, model = minilm(os.environ[MINILM])
    left_out = zx.load_bert(model, path, without=("pooler",))
    assert {"pooler.dense.bias", "pooler.dense.weight"} <= {*left_out}
    inputs = sentences(tokens=16, words=30522)
    expected = hidden_states(load_file(path), *inputs.values(), heads=12)[-1]
    mask = inputs["attention_mask"] > 0
    found = model(inputs).numpy()[mask]
    np.testing.assert_allclose(found, expected[mask], rtol=1e-3, atol=1e-4)
    assert found.std() > 0.1


@pytest.mark.slow
def test_transformers_compute_the_same(tmp_path):
    needs = "it needs pip install 'larq-bnnopt[test-bert]'"
    transformers = pytest.importorskip("transformers", reason=needs)
    torch = pytest.importorskip("torch", reason=needs)
    torch.manual_seed(0)
    config = transformers.BertConfig(
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        vocab_size=100,
        max_position_embeddings=16,
        num_labels=3,
    )
    theirs = transformers.BertForSequenceClassification(config).eval()
    with torch.no_grad():
        for weight in theirs.parameters():
            weight.add_(torch.randn_like(weight) * 0.1)
    theirs.save_pretrained(tmp_path, safe_serialization=True)
    model = small("float", activation="gelu", classifier_activation=None)
    assert zx.load_bert(model, tmp_path / "model.safetensors") == []
    inputs = sentences()
    with torch.no_grad():
        outputs = theirs(
            **{k: torch.tensor(v, dtype=torch.long) for k, v in inputs.items()},
            output_hidden_states=True,
        )
    layers = [model.get_layer(name).output for name in STATES]
    found = tf.keras.Model(model.inputs, [*layers, model.output])(inputs)
    mask = inputs["attention_mask"] > 0
    for ours, expected in zip(found, outputs.hidden_states, strict=False):
        np.testing.assert_allclose(
            ours.numpy()[mask], expected.numpy()[mask], rtol=1e-4, atol=1e-5
        )
    np.testing.assert_allclose(found[-1], outputs.logits.numpy(), rtol=1e-4, atol=1e-5)
    assert SMALL["num_heads"] == config.num_attention_heads
