"""The binary BERT: its definition in NumPy, its counts, its files, its training."""

import functools

import numpy as np
import pytest
import tensorflow as tf

import zoo_extensions as zx
from larq_bnnopt.optimizers import CaseOptimizer, Diode, is_binary_variable
from larq_bnnopt.recipes.two_step import with_real_kernels
from zoo_extensions import attention, elastic
from zoo_extensions.bert import INPUTS
from zoo_extensions.figures import GLUE

from .numpy_bert import normalized, relu, sentences, softmax

SMALL = {
    "input_shape": (8,),
    "num_layers": 1,
    "hidden_size": 32,
    "num_heads": 2,
    "intermediate_size": 64,
    "vocab_size": 100,
    "max_length": 16,
    "num_classes": 3,
}
PRECISIONS = ("float", "binary_weights", "binary_activations", "binary")
KINDS = [
    ("binary", False),
    ("binary", True),
    ("float", True),
    pytest.param("binary_weights", False, marks=pytest.mark.slow),
    pytest.param("binary_weights", True, marks=pytest.mark.slow),
    pytest.param("binary_activations", True, marks=pytest.mark.slow),
]


def small(precision="binary", latent=True, **fields):
    arguments = {"precision": precision, "latent_weights": latent}
    return zx.BinaryBert(**{**SMALL, **arguments, **fields})


def trained_looking(model):
    """Scales, shifts, biases and normalizations as training leaves them."""
    draw = np.random.default_rng(3)
    model(sentences(samples=16), training=True)
    for weight in model.trainable_weights:
        values = weight.numpy()
        if weight.shape.rank < 2 and "alpha" not in weight.name:
            weight.assign(values + draw.uniform(-0.2, 0.2, weight.shape))
        elif "row_scale" in weight.name:
            weight.assign(draw.uniform(0.5, 2, weight.shape))
    return model


@pytest.fixture(scope="module")
def made():
    """Makes each model of two layers once."""

    @functools.cache
    def make(precision, latent):
        tf.keras.utils.set_random_seed(0)
        return trained_looking(small(precision, latent, num_layers=2))

    return make


def sign(x):
    return np.where(x < 0, -1.0, 1.0)


def bit(model, inputs):
    """BiT, in float64, from the weights of a model: hidden states and outputs."""
    weights = {
        weight.name.removesuffix(":0"): weight.numpy().astype(np.float64)
        for weight in model.weights
    }

    def as_signs(x, name):
        alpha = weights.get(f"{name}/alpha")
        return x if alpha is None else alpha * sign(x)

    def as_units(x, name):
        alpha = weights.get(f"{name}/alpha")
        return x if alpha is None else alpha * np.clip(np.round(x / alpha), 0, 1)

    def kernel_of(name):
        kernel = weights[f"{name}/kernel"][0, 0]
        if f"{name}/kernel_scale" in weights:
            assert set(np.unique(kernel)) == {-1, 1}
            return weights[f"{name}/kernel_scale"] * kernel
        if model.get_layer(name).kernel_quantizer is None:
            return kernel
        return np.abs(kernel).mean() * sign(kernel - kernel.mean())

    def linear(x, name, binarize=as_signs):
        x = binarize(x + weights.get(f"{name}/shift", 0), f"{name}/input")
        return x @ kernel_of(name) + weights[f"{name}/bias"]

    def norm(x, name):
        names = {
            "w.weight": weights[f"{name}/gamma"],
            "w.bias": weights[f"{name}/beta"],
        }
        return normalized(x, names, "w")

    def split(x):
        heads = model.get_layer("layer_0_scores").num_heads
        return x.reshape(*x.shape[:2], heads, -1).transpose(0, 2, 1, 3)

    table = weights["embeddings_word/embeddings"]
    if "embeddings_word/row_scale" in weights:
        table = weights["embeddings_word/row_scale"] * table
    elif model.get_layer("embeddings_word").embeddings_quantizer is not None:
        scale = np.abs(table).mean(1, keepdims=True)
        table = scale * sign(table - table.mean())
    ids, mask, types = (inputs[name] for name in INPUTS)
    x = (
        table[ids]
        + weights["embeddings_position/embeddings"][: ids.shape[1]]
        + weights["embeddings_type/embeddings"][types]
    )
    states = [norm(x, "embeddings_norm")]
    for layer in range(2):
        x, name = states[-1], f"layer_{layer}"
        q, k, v = (
            split(as_signs(linear(x, f"{name}_{part}"), f"{name}_{part}_sign"))
            for part in ("query", "key", "value")
        )
        scores = q @ k.transpose(0, 1, 3, 2) / np.sqrt(q.shape[-1])
        scores += np.where(mask, 0.0, -np.inf)[:, None, None]
        picks = as_units(softmax(scores), f"{name}_probabilities_binary")
        context = (picks @ v).transpose(0, 2, 1, 3).reshape(x.shape)
        y = linear(context, f"{name}_attention_dense")
        x = norm(x + y, f"{name}_attention_norm")
        y = relu(linear(x, f"{name}_intermediate"))
        states.append(norm(x + linear(y, f"{name}_output", as_units), f"{name}_norm"))
    pooled = np.tanh(linear(states[-1][:, 0], "pooler"))
    return states, softmax(
        pooled @ weights["classifier/kernel"] + weights["classifier/bias"]
    )


@pytest.mark.parametrize("precision, latent", KINDS)
def test_it_is_what_bit_defines(made, precision, latent):
    model = made(precision, latent)
    inputs = sentences()
    states, outputs = bit(model, inputs)
    names = ["embeddings_norm", "layer_0_norm", "layer_1_norm"]
    found = tf.keras.Model(
        model.inputs, [model.get_layer(name).output for name in names]
    )(inputs)
    for name, ours, expected in zip(names, found, states, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-4, err_msg=name)
    # They are all near 1/3: what counts is by how much they differ.
    spread = outputs.std(axis=0).min()
    assert spread > 1e-4
    np.testing.assert_allclose(model(inputs), outputs, rtol=0, atol=0.02 * spread)


@pytest.mark.parametrize("precision, latent", KINDS)
def test_masked_tokens_do_not_change_the_result(made, precision, latent):
    model, inputs = made(precision, latent), sentences()
    masked = inputs["attention_mask"] == 0
    other = {
        **inputs,
        "input_ids": np.where(masked, 99 - inputs["input_ids"], inputs["input_ids"]),
        "token_type_ids": np.where(masked, 1 - inputs["token_type_ids"], 0),
    }
    same_types = {**inputs, "token_type_ids": np.zeros_like(masked, np.int32)}
    assert (other["input_ids"] != inputs["input_ids"]).any()
    np.testing.assert_array_equal(model(other), model(same_types))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_layers_have_one_name_in_all_precisions(precision):
    model = small(precision)
    parts = (
        "query", "key", "value", "scores", "probabilities", "context",
        "attention_dense", "attention_norm", "intermediate", "output", "norm",
    )  # fmt: skip
    names = [f"layer_0_{part}" for part in parts]
    names += [f"embeddings_{part}" for part in ("word", "position", "type", "norm")]
    names += ["pooler", "classifier", "classifier_activation"]
    assert {*names} <= {layer.name for layer in model.layers}
    assert model.input_names == list(INPUTS)
    assert [tensor.dtype for tensor in model.inputs] == [tf.int32] * 3
    scores = model.get_layer("layer_0_scores").output
    assert scores.shape == (None, 2, 8, 8)
    linear = [x for x in model.layers if isinstance(x, elastic.ElasticLinear)]
    assert len(linear) == 6 + 1
    signs = [x for x in model.layers if isinstance(x, elastic.ElasticSign)]
    units = [x for x in model.layers if isinstance(x, elastic.ElasticUnit)]
    quantized = precision in ("binary", "binary_activations")
    assert (len(signs), len(units)) == ((3, 1) if quantized else (0, 0))
    for layer in linear:
        kind = type(layer.input_quantizer)
        if not quantized:
            assert layer.input_quantizer is None
        elif layer.name.endswith("_output"):
            assert kind is elastic.ElasticUnit
        else:
            assert kind is elastic.ElasticSign


def test_the_shift_that_the_authors_overwrite_is_left_out():
    assert "overwrites" in zx.BinaryBert.factory.__base__.__doc__
    model = small()
    for part in ("query", "key", "value"):
        names = [w.name for w in model.get_layer(f"layer_0_{part}_sign").weights]
        assert names == [
            f"layer_0_{part}_sign/alpha:0", f"layer_0_{part}_sign/is_set:0"
        ]  # fmt: skip


def test_a_list_of_inputs_is_a_dictionary_of_them(made):
    model, inputs = made("binary", False), sentences()
    expected = model(inputs).numpy()
    in_order = [inputs[name] for name in INPUTS]
    np.testing.assert_array_equal(model(in_order), expected)
    np.testing.assert_allclose(model.predict(inputs, verbose=0), expected, rtol=1e-6)


def test_scores_are_scaled_and_masked(made):
    model, inputs = made("binary", True), sentences()
    layers = ("layer_0_query_sign", "layer_0_key_sign", "layer_0_scores")
    query, key, scores = tf.keras.Model(
        model.inputs, [model.get_layer(name).output for name in layers]
    )(inputs)
    assert len(np.unique(np.abs(query))) == 1
    masked = np.broadcast_to(inputs["attention_mask"][:, None, None] == 0, scores.shape)
    assert np.all(scores.numpy()[masked] < -9000)
    first = np.einsum("bic,bjc->bij", query[..., :16], key[..., :16]) / 4
    np.testing.assert_allclose(
        scores.numpy()[:, 0][~masked[:, 0]], first[~masked[:, 0]], rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize(
    "suffix", ["keras", pytest.param("h5", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("precision, latent", KINDS)
def test_saves_and_loads(made, precision, latent, suffix, tmp_path):
    model, inputs = made(precision, latent), sentences()
    model.save(tmp_path / f"model.{suffix}")
    copy = tf.keras.models.load_model(tmp_path / f"model.{suffix}")
    np.testing.assert_array_equal(copy(inputs), model(inputs))
    assert [type(layer) for layer in copy.layers] == [
        type(layer) for layer in model.layers
    ]
    assert [is_binary_variable(v) for v in copy.trainable_weights] == [
        is_binary_variable(v) for v in model.trainable_weights
    ]


@pytest.mark.slow
def test_saves_as_saved_model(made, tmp_path):
    model, inputs = made("binary", False), sentences()
    model.save(tmp_path / "model")
    copy = tf.keras.models.load_model(tmp_path / "model")
    np.testing.assert_allclose(copy(inputs), model(inputs), rtol=1e-5)


def compiled(model):
    optimizer = tf.keras.optimizers.Adam(1e-3)
    if any(map(is_binary_variable, model.trainable_weights)):
        optimizer = CaseOptimizer(
            (is_binary_variable, Diode(0.3)), default_optimizer=optimizer
        )
    model.compile(optimizer, "sparse_categorical_crossentropy")
    return model


def fit(model, epochs, first=0):
    inputs = sentences(samples=24)
    labels = inputs["input_ids"][:, 0] % 3
    history = model.fit(
        inputs, labels, 8, epochs, initial_epoch=first, shuffle=False, verbose=0
    )
    return history.history["loss"]


@pytest.mark.parametrize(
    "precision, latent",
    [
        ("binary", False),
        pytest.param("binary", True, marks=pytest.mark.slow),
        pytest.param("float", True, marks=pytest.mark.slow),
        *KINDS[3:],
    ],
)
def test_trains(precision, latent):
    tf.keras.utils.set_random_seed(0)
    model = compiled(small(precision, latent, dropout=0.0))
    binary = [v for v in model.trainable_weights if is_binary_variable(v)]
    assert len(binary) == (0 if latent else 6 + 1 + 1)
    start = [v.numpy() for v in model.trainable_weights]
    losses = fit(model, 12)
    assert np.isfinite(losses).all() and losses[-1] < losses[0] - 0.01
    for before, variable in zip(start, model.trainable_weights, strict=True):
        assert (before != variable.numpy()).any(), variable.name
    for variable in binary:
        assert set(np.unique(variable)) == {-1, 1}, variable.name
    for layer in model.layers:
        if isinstance(layer, elastic.ElasticSign | elastic.ElasticUnit):
            assert float(layer.is_set) == 1


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_resumed_equals_uninterrupted(suffix, tmp_path):
    tf.keras.utils.set_random_seed(0)
    model = compiled(small(latent=False, dropout=0.0))
    fit(model, 1)
    model.save(tmp_path / f"model.{suffix}")
    fit(model, 2, first=1)
    resumed = tf.keras.models.load_model(tmp_path / f"model.{suffix}")
    fit(resumed, 2, first=1)
    for ours, expected in zip(resumed.weights, model.weights, strict=True):
        # Threads round sums in any order; signs, counts and marks have no such room.
        room = 0 if is_binary_variable(expected) else 1e-6
        np.testing.assert_allclose(
            ours.numpy(), expected.numpy(), room, room, err_msg=expected.name
        )


@pytest.mark.parametrize(
    "policy", ["mixed_bfloat16", pytest.param("mixed_float16", marks=pytest.mark.slow)]
)
def test_mixed_precision(policy):
    before = tf.keras.mixed_precision.global_policy()
    tf.keras.mixed_precision.set_global_policy(policy)
    try:
        model = compiled(small(latent=False))
        losses = fit(model, 3)
    finally:
        tf.keras.mixed_precision.set_global_policy(before)
    assert np.isfinite(losses).all()
    assert model(sentences()).dtype == tf.float32
    assert model.get_layer("layer_0_query").compute_dtype == policy[6:]
    for weight in model.weights:
        # Dropout counts its calls in integers.
        if weight.dtype.is_floating:
            assert weight.dtype == tf.float32, weight.name
        if is_binary_variable(weight):
            assert set(np.unique(weight)) == {-1, 1}, weight.name


@pytest.mark.parametrize(
    "precision", ["binary", pytest.param("binary_weights", marks=pytest.mark.slow)]
)
def test_latent_weights_become_signs_under_their_scales(made, precision):
    model, inputs = made(precision, True), sentences()
    free = zx.to_latent_free(model)
    np.testing.assert_allclose(free(inputs), model(inputs), rtol=1e-5, atol=1e-7)
    built = small(precision, latent=False, num_layers=2)
    assert [(w.name, w.shape) for w in free.weights] == [
        (w.name, w.shape) for w in built.weights
    ]
    for weight in free.trainable_weights:
        assert is_binary_variable(weight) is (
            (weight.name.endswith("kernel:0") and "classifier" not in weight.name)
            or weight.name == "embeddings_word/embeddings:0"
        )  # fmt: skip
    kernel = model.get_layer("layer_1_output").kernel.numpy()
    layer = free.get_layer("layer_1_output")
    np.testing.assert_array_equal(layer.kernel, sign(kernel - kernel.mean()))
    assert float(layer.kernel_scale) == pytest.approx(np.abs(kernel).mean(), rel=1e-5)
    with pytest.raises(ValueError, match="is latent-free already"):
        zx.to_latent_free(free)


def test_the_first_of_two_steps_has_real_kernels_and_embeddings(made):
    real = with_real_kernels(small())
    expected = small("binary_activations")
    assert [(w.name, w.shape) for w in real.weights] == [
        (w.name, w.shape) for w in expected.weights
    ]
    assert real.get_layer("embeddings_word").embeddings_quantizer is None
    assert real.get_layer("pooler").kernel_quantizer is None


def test_without_top(made):
    model = made("binary", False)
    headless = small("binary", False, include_top=False, num_layers=2)
    assert headless.output_shape == (None, 8, 32)
    names = [layer.name for layer in model.layers]
    assert [layer.name for layer in headless.layers] == names[: len(headless.layers)]
    headless.set_weights(model.get_weights()[: len(headless.weights)])
    inputs = sentences()
    features = tf.keras.Model(model.inputs, model.get_layer("layer_1_norm").output)
    np.testing.assert_array_equal(headless(inputs), features(inputs))


def test_a_file_of_weights(made, tmp_path):
    path = str(tmp_path / "weights.h5")
    made("binary", False).save_weights(path)
    copy = small("binary", False, weights=path, num_layers=2)
    inputs = sentences()
    np.testing.assert_array_equal(copy(inputs), made("binary", False)(inputs))


def test_a_file_of_real_word_embeddings_is_not_latent_free(tmp_path):
    path = str(tmp_path / "weights.h5")
    model = small("binary", False)
    model.get_layer("embeddings_word").embeddings.assign_add(tf.fill((100, 32), 0.5))
    model.save_weights(path)
    with pytest.raises(ValueError, match=r"needs embeddings in \{-1, \+1\}.*_word"):
        small("binary", False, weights=path)


def test_counts():
    """Each product by hand: 8 tokens, 32 channels, 64 in the middle, one layer."""
    count = zx.count_ops(small())
    linear = 4 * 32 * 32 + 2 * 32 * 64
    products = 2 * 8 * 8 * 32
    assert count.bops == 8 * linear + products + 32 * 32
    assert count.flops == 32 * 3 and not count.uncounted
    bits = {layer.name: layer.bits for layer in count.layers if layer.bits}
    assert bits.pop("embeddings_word") == "1"
    assert bits.pop("classifier") == "32/32"
    assert len(bits) == 8 + 1 and {*bits.values()} == {"1/1"}
    rows = {row[0]: row for row in count.rows()}
    assert rows["embeddings_word"][2:4] == ("1", "100x32")
    real = zx.count_ops(small("float"))
    assert (real.bops, real.flops) == (0, count.bops + count.flops)
    half = zx.count_ops(small("binary_activations"))
    # Products of activations are binary, whatever the kernels are.
    assert half.bops == products
    (scores,) = (x for x in half.layers if x.name == "layer_0_scores")
    assert (scores.bits, scores.memory_bits) == ("1/1", 0)
    free = zx.count_ops(small(latent=False))
    # A scale for each row and each linear layer.
    assert free.parameters - count.parameters == 100 + 6 + 1
    assert "layer_0_query/input" in {layer.name for layer in free.layers}


@pytest.mark.slow
def test_the_sizes_and_operations_of_table_2():
    counts = {
        "binary": zx.count_ops(zx.BinaryBertBase(latent_weights=False)),
        "float": zx.count_ops(zx.BinaryBertBase(precision="float")),
    }
    # Weights of BERT-Base, a classifier, and the calls of each dropout.
    assert counts["float"].parameters == 109_482_240 + 2 * 768 + 2 + (3 * 12 + 2)
    assert counts["float"].memory_bits == 32 * (109_482_240 + 2 * 768 + 2)
    assert f"{counts['binary'].mebibytes:.2f}" == "15.40"
    binary = sum(
        np.prod(layer.kernel_shape)
        for layer in counts["binary"].layers
        if layer.kernel_bits == 1 and layer.kernel_shape
    )
    assert binary == 23_440_896 + 84_934_656 + 589_824
    compared = set()
    for row in GLUE:
        if row.counted_as is None:
            assert not row.method.startswith("BiT ") and row.bits != "32-32-32"
            continue
        name, arguments = row.counted_as
        assert name == "binary_bert_base"
        count = counts[dict(arguments).get("precision", "binary")]
        for c in row.compare(count):
            compared.add((row.bits, c.figure, c.printed, round(c.value, -4), c.verdict))
    assert compared == {
        ("32-32-32", "size", "418", 437_940_000, "rounded"),
        ("32-32-32", "flops", "22.5", 22_348_430_000, "differs"),
        ("1-1-1", "size", "13.4", 14_020_000, "rounded"),
        ("1-1-1", "flops", "0.4", 349_200_000, "differs"),
    }


def test_the_table_of_models_holds_the_counts_of_glue():
    def create(name, **arguments):
        return small(**arguments)

    table = zx.model_table(["binary_bert_base"], create=create)
    page = table.markdown()
    assert "| BERT | 32-32-32 | 418 (0) | 22.5 (0.0) |" in page
    assert "| BiT ‡ (Diode) | 1-1-1 | 13.4 (0.0) | 0.4 (0.0) |" in page
    assert "| BiBERT | 1-1-1 | 13.4 | 0.4 |" in page
    assert sum(bool(row["compared"]) for row in table.as_dict()["glue"]) == 9


@pytest.mark.parametrize(
    "arguments, message",
    [
        (
            {"input_shape": (32, 32, 3)},
            r"\(32, 32, 3\) must be \(tokens,\), from 1 to ",
        ),
        ({"input_shape": (None,)}, r"\(None,\) must be \(tokens,\)"),
        ({"input_shape": (17,)}, r"from 1 to max_length=16, since binary_bert takes"),
        ({"num_heads": 5}, "num_heads=5 must be a divisor of hidden_size=32"),
        ({"num_layers": 0}, "num_layers=0 must be at least 1"),
        ({"vocab_size": 0}, "vocab_size=0 must be at least 1"),
        ({"dropout": 1.0}, r"dropout=1.0 must be in \[0, 1\)"),
        ({"activation": "tanh"}, "activation='tanh' must be 'relu' or 'gelu'"),
        ({"layer_norm_epsilon": 0.0}, "layer_norm_epsilon=0.0 must be above 0"),
        ({"precision": "float", "latent": False}, "latent_weights=False must be True"),
        (
            {"num_classes": 1},
            "activation='softmax' must be None .* or 'sigmoid' for num",
        ),
        ({"weights": "imagenet"}, "No ImageNet weights are published for binary_bert"),
    ],
)
def test_bad_input_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        small(**arguments)


def test_image_options_are_no_options():
    with pytest.raises(TypeError, match="BinaryBert has no argument pad_values; it"):
        zx.BinaryBert(pad_values=1.0)


def test_more_tokens_than_positions_are_named():
    layer = attention.PositionEmbedding(4, name="positions")
    with pytest.raises(ValueError, match="positions has 4 rows, but its input has 5"):
        layer(tf.zeros((1, 5, 2)))


@pytest.mark.parametrize(
    "function, layers, hidden, heads, middle",
    [
        pytest.param("binary_bert_small", 4, 256, 4, 1024, marks=pytest.mark.slow),
        ("binary_bert_tiny", 2, 128, 2, 512),
    ],
)
def test_the_sizes(function, layers, hidden, heads, middle):
    model = zx.create_model(function, input_shape=(4,), vocab_size=20)
    assert model.name == function
    assert model.get_layer("layer_0_scores").num_heads == heads
    assert model.get_layer("layer_0_query").kernel.shape == (1, 1, hidden, hidden)
    assert model.get_layer("layer_0_output").kernel.shape == (1, 1, middle, hidden)
    assert sum(layer.name.endswith("_scores") for layer in model.layers) == layers
