"""A binary BERT becomes a file: layers, products, the table of words, inputs."""

import larq as lq
import numpy as np
import pytest
import tensorflow as tf

import converters
import zoo_extensions as zx
from converters.auditing.reasons import why_float
from converters.runtime import TfliteFile

from .conftest import make_bert_trained_looking, small_bert, tokens

LAYERS = (
    *(
        f"layer_{layer}_{part}"
        for layer in range(2)
        for part in (
            "query",
            "key",
            "value",
            "attention_dense",
            "intermediate",
            "output",
        )
    ),
    "pooler",
)
# Of an input: tokens, hidden size, of the feed-forward layers.
TOKENS, HIDDEN, WIDE = 8, 32, 64


@pytest.fixture(scope="module", params=[False, True], ids=["latent_free", "latent"])
def case(request):
    model = small_bert(latent_weights=request.param)
    inputs = tokens(model)
    return model, inputs, converters.convert(model, inputs=inputs)


def test_every_linear_layer_is_binary(case):
    _, _, conversion = case
    audit = conversion.report.audit
    assert tuple(layer.name for layer in audit.converted) == LAYERS
    assert not audit.stayed_float
    assert audit.operators["LceBconv2d"] == len(LAYERS)
    # Feed-forward layers read the bits of others: their shift and scale are thresholds.
    assert "CONV_2D" not in audit.operators and "RELU" not in audit.operators
    assert audit.operators["LceQuantize"] == 2 * 9 + 1
    for entry in audit.binary:
        assert entry.num_bytes == entry.predicted_bytes


def test_each_layer_computes_as_keras_does(case):
    _, _, conversion = case
    found = conversion.report.verification
    assert found.passed and not found.untraced
    assert found.output_difference < 1e-5
    compared = [layer.layer for layer in found.layers]
    for layer in LAYERS:
        assert layer in compared
    for part in ("query_sign", "key_sign", "value_sign", "probabilities_binary"):
        assert f"layer_0_{part}" in compared
    assert sum(layer.unexplained_flips for layer in found.layers) == 0
    # Both sets of binary kernels.
    assert found.witness.largest_difference < 1e-5 and found.witness.changed == 0


def test_products_of_two_activations_are_named_with_their_cost(case):
    _, _, conversion = case
    audit = conversion.report.audit
    assert [product.layer for product in audit.products] == [
        f"layer_{layer}_{part}" for layer in range(2) for part in ("scores", "context")
    ]
    products = 2 * 2 * TOKENS * TOKENS * HIDDEN
    linear = 2 * TOKENS * (4 * HIDDEN * HIDDEN + 2 * HIDDEN * WIDE)
    top = HIDDEN * HIDDEN + HIDDEN * 2
    assert sum(product.macs for product in audit.products) == products
    share = sum(product.share for product in audit.products)
    assert share == pytest.approx(products / (products + linear + top))
    assert all(product.is_binary for product in audit.products)
    rows = dict(conversion.report.rows())
    assert f"4 stay float, {products:,} multiply-accumulates" in str(rows)
    assert "no binary operator for two computed operands" in (
        conversion.report.markdown()
    )
    names = [
        product.layer for product in converters.audit(None, conversion.content).products
    ]
    assert names == [product.layer for product in audit.products]


def test_the_table_of_words_is_bits(case):
    model, _, conversion = case
    (table,) = conversion.report.audit.embeddings
    assert table.layer == "embeddings_word"
    assert (table.rows, table.channels) == (100, HIDDEN)
    assert (
        table.num_bytes == 100 * HIDDEN // 8
        and table.float_bytes == 32 * table.num_bytes
    )
    assert len(conversion.content) < 4 * model.count_params()


def test_inputs_go_by_their_names(case):
    model, inputs, conversion = case
    interpreter = converters.Interpreter(conversion.content)
    assert [info.name for info in interpreter.inputs] == list(inputs)
    assert {(info.shape, info.dtype.name) for info in interpreter.inputs} == {
        ((1, TOKENS), "int32")
    }
    expected = interpreter.predict(inputs)
    np.testing.assert_allclose(expected, model.predict(inputs, verbose=0), atol=1e-5)
    # In another order, as a list, and alone.
    for given in (dict(reversed(inputs.items())), list(inputs.values())):
        np.testing.assert_array_equal(interpreter.predict(given), expected)
    alone = [
        interpreter.predict(
            {name: array[index : index + 1] for name, array in inputs.items()}
        )
        for index in range(3)
    ]
    np.testing.assert_array_equal(np.concatenate(alone), expected[:3])


def test_other_inputs_are_refused_by_name(case):
    _, inputs, conversion = case
    interpreter = converters.Interpreter(conversion.content)
    without = {k: v for k, v in inputs.items() if k != "attention_mask"}
    with pytest.raises(ValueError, match=r"inputs are .*'attention_mask'"):
        interpreter.predict(without)
    real = {**inputs, "input_ids": inputs["input_ids"].astype(np.float32)}
    with pytest.raises(ValueError, match=r"'input_ids' is .* of int32"):
        interpreter.predict(real)


def test_tokens_beyond_the_vocabulary_are_refused_first(case):
    model, inputs, conversion = case
    for wrong in (100, -1):
        given = {**inputs, "input_ids": inputs["input_ids"].copy()}
        given["input_ids"][3, 2] = wrong
        match = rf"rows of embeddings_word, from 0 to 99\. Received: .*{wrong}"
        with pytest.raises(ValueError, match=match):
            converters.convert(model, inputs=given)
        with pytest.raises(ValueError, match=match):
            converters.verify(model, conversion.content, given)


def test_without_rewrites_the_audit_says_what_to_do():
    model = small_bert(num_layers=1)
    with pytest.warns(UserWarning, match="stayed float"):
        report = converters.convert(model, inputs=None, rewrites=None).report
    assert {layer.name for layer in report.audit.stayed_float} == {
        name for name in LAYERS if not name.startswith("layer_1")
    }
    for layer in report.audit.stayed_float:
        assert "signs times a scale (Elastic" in layer.reason
        assert "'fuse_sign_scale'" in layer.fix


@pytest.mark.parametrize("latent", [False, True], ids=["latent_free", "latent"])
def test_a_table_may_be_all_that_is_binary(latent):
    free, signs = lq.quantizers.NoOp(precision=1), zx.elastic.CenteredSign(by_row=True)
    start = "normal" if latent else zx.initializers.BernoulliSign(seed=1)
    table = zx.elastic.BinaryEmbedding(
        64, 32, signs if latent else free, embeddings_initializer=start
    )
    ids = tf.keras.Input((8,), dtype=tf.int32)
    pooled = tf.keras.layers.GlobalAveragePooling1D()(table(ids))
    model = tf.keras.Model(ids, tf.keras.layers.Dense(3)(pooled))
    given = np.arange(32, dtype=np.int32).reshape(4, 8)
    conversion = converters.convert(model, inputs=given)
    assert conversion.report.verification.passed
    tables = [
        operator
        for operator in TfliteFile(conversion.content).operators
        if operator.name == "LceDequantize"
    ]
    assert len(tables) == 1
    dense = tf.keras.Model(ids, tf.keras.layers.Flatten()(ids))
    with pytest.raises(converters.ConversionError, match="nothing binary to convert"):
        converters.convert(dense, inputs=given)


def test_a_kernel_whose_scale_is_zero_is_named():
    model = small_bert(num_layers=1)
    layer = model.get_layer("layer_0_intermediate")
    layer.learned_scale.assign(0.0)
    reason, _ = why_float(layer)
    assert reason.startswith("the learned scale of its kernel is 0")
    layer.learned_scale.assign(-0.5)
    assert "scale of its kernel" not in why_float(layer)[0]


@pytest.mark.slow
@pytest.mark.parametrize("latent", [False, True], ids=["latent_free", "latent"])
@pytest.mark.parametrize("name", ["binary_bert_tiny", "binary_bert_small"])
def test_full_sizes_are_as_counted(name, latent):
    model = zx.create_model(name, latent_weights=latent)
    make_bert_trained_looking(model)
    conversion = converters.convert(model, inputs=tokens(model, 2, 30522))
    report, counted = conversion.report, zx.count_ops(model)
    audit, by_name = report.audit, {layer.name: layer for layer in counted.layers}
    assert not audit.stayed_float and not report.messages
    assert not report.verification.untraced
    assert report.verification.output_difference < 1e-5
    for product in audit.products:
        assert product.macs == by_name[product.layer].binary_macs
    size = counted.memory_bits / 8
    assert len(conversion.content) == pytest.approx(size, rel=0.2)


@pytest.mark.slow
def test_int8_is_left_to_the_classifier():
    model = small_bert(num_layers=1)
    inputs = tokens(model, 64)
    report = converters.convert(model, inputs=inputs, calibration=inputs).report
    assert not report.audit.stayed_float
    assert report.verification.int8 and report.verification.passed
    in_int8 = [one for one in report.audit.real_valued if one.dtype == "int8"]
    assert {one.layer for one in in_int8} <= {"classifier", "classifier_activation"}
    assert in_int8
