"""Every pattern that Larq Compute Engine treats in a way of its own, one model each."""

import itertools
import re
import warnings

import pytest

import converters

from .runtime.parity import answers_of, assert_repeats, kernels_here
from .small_models import MODELS

# Near neighbours of other rows.
SLOW = {
    "approx_sign_of_kernel",
    "swish_sign_of_kernel",
    "swish_sign_of_inputs",
    "magnitude_aware_kernel_without_padding",
    "free_kernel_of_thousandths",
    "stride_2_without_padding",
    "stride_2_odd_image",
    "stride_3_of_one_axis",
    "dilation",
    "dilation_without_padding",
    "odd_channels",
    "even_kernel",
    "oblong_kernel",
    "image_4x4_kernel_5_stride_2",
    "image_2x2_odd_channels",
    "image_2x2_groups",
    "dense_with_bias",
    "free_dense",
    "conv1d_zero_padding",
    "locally_connected_over_time",
    "separable_over_time",
    "relu6",
    "leaky_relu",
    "elu",
    "hard_tanh",
    "norm_then_relu_zero_padding",
    "relu_then_norm_zero_padding",
    "pool_zero_padding",
    "norm_between_without_padding",
    "sign_of_reshaped",
    "ones_around_values",
    "stem_of_pytorch_7x7",
    "gradient_filter",
    "iir_filter",
    "larqs_bop",
    "fast_adam_on_weights_without_latent_ones",
    "bop",
    "bop_2nd_order",
    "gradient_filter_of_order_1",
    "legacy_diode",
    "legacy_gradient_filter",
    "legacy_iir_filter",
    "legacy_bop_2nd_order",
    "adam_on_latent_weights",
    "magnitude_aware_kernel_zero_padding",
    "no_op_of_inputs",
    "approximate_sign_of_its_own",
    "sign_as_activation_of_a_layer",
    "free_kernel_zero_padding",
    "stride_2_minus_padding",
    "dilation_minus_padding",
    "odd_channels_zero_padding",
    "two_groups_zero_padding",
    "groups_of_16",
    "image_2x2_kernel_3_stride_2",
    "image_3x3_kernel_3_stride_1",
    "image_1x1_kernel_2_stride_1",
    "image_2x2_groups_dilation",
    "image_1x1_one_padding",
    "norm_between_zero_padding",
    "conv1d_one_padding",
    "ones_around_signs_stride_2",
    "zeros_around_values_stride_2",
    "stride_larger_than_the_kernel_in_groups",
}


def rows(refused):
    return [
        pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else [])
        for name, row in MODELS.items()
        if (row.refused is not None) == refused
    ]


def converted(row):
    """Returns a row's conversion, and the warnings about float layers."""
    model = row.model()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        conversion = converters.convert(model, inputs=row.inputs())
    warned = [str(w.message) for w in caught if "stayed float" in str(w.message)]
    return conversion, warned


@pytest.mark.parametrize("name", rows(refused=False))
def test_converts_as_the_table_says(name):
    row = MODELS[name]
    conversion, warned = converted(row)
    audit, verification = conversion.report.audit, conversion.report.verification
    expected = {"LceBconv2d": row.binary, **row.operators}
    found = {operator: audit.operators.get(operator, 0) for operator in expected}
    assert found == expected
    reasons = {layer.name: layer.reason for layer in audit.stayed_float}
    assert reasons.keys() == row.stays_float.keys()
    for layer, words in row.stays_float.items():
        assert re.search(words, reasons[layer])
        assert any(text.startswith(f"{layer} (") for text in warned)
    assert len(warned) == len(reasons)
    assert verification.passed and verification.untraced == row.untraced
    if not row.untraced:
        assert verification.output_difference <= 1e-5
    answers = answers_of(conversion.content, row.inputs(samples=2))
    # All of both are run by parity.py on every row, and by test_delegate.py.
    for kernels, num_threads in zip(kernels_here(), itertools.cycle((2, 1))):
        assert_repeats(answers, kernels=kernels, num_threads=num_threads)


@pytest.mark.parametrize("name", rows(refused=True))
def test_refuses_as_the_table_says(name):
    row = MODELS[name]
    # The comparison need not find it.
    with pytest.raises(converters.ConversionError, match=row.refused):
        converters.convert(row.model(), inputs=None)


def test_the_table_is_long():
    assert SLOW < MODELS.keys() and len(MODELS.keys() - SLOW) >= 60
