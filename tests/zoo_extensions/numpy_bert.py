"""BERT and BiT in NumPy, float64, from weights by their names in files."""

import math

import numpy as np


def relu(x):
    return np.maximum(x, 0)


def gelu(x):
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def softmax(x):
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


def normalized(x, weights, name, epsilon=1e-12):
    gamma, beta = weights[f"{name}.weight"], weights[f"{name}.bias"]
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + epsilon) * gamma + beta


def hidden_states(weights, ids, mask, types, heads, act=gelu):
    """All hidden states of BERT, the embeddings first."""
    weights = {name: np.asarray(w, np.float64) for name, w in weights.items()}

    def linear(x, name):
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def split(x):
        return x.reshape(*x.shape[:2], heads, -1).transpose(0, 2, 1, 3)

    x = (
        weights["embeddings.word_embeddings.weight"][ids]
        + weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
        + weights["embeddings.token_type_embeddings.weight"][types]
    )
    states = [normalized(x, weights, "embeddings.LayerNorm")]
    bias = np.where(mask, 0.0, -np.inf)[:, None, None, :]
    layer = 0
    while f"encoder.layer.{layer}.output.dense.bias" in weights:
        x, name = states[-1], f"encoder.layer.{layer}"
        q, k, v = (
            split(linear(x, f"{name}.attention.self.{part}"))
            for part in ("query", "key", "value")
        )
        scores = q @ k.transpose(0, 1, 3, 2) / math.sqrt(q.shape[-1]) + bias
        context = (softmax(scores) @ v).transpose(0, 2, 1, 3).reshape(x.shape)
        y = linear(context, f"{name}.attention.output.dense")
        x = normalized(x + y, weights, f"{name}.attention.output.LayerNorm")
        y = act(linear(x, f"{name}.intermediate.dense"))
        y = linear(y, f"{name}.output.dense")
        states.append(normalized(x + y, weights, f"{name}.output.LayerNorm"))
        layer += 1
    return states


def random_weights(seed=0, *, layers=2, hidden=32, middle=64, words=100, rows=16):
    """Weights of a BERT, drawn so that nothing is close to zero."""
    draw = np.random.default_rng(seed)

    def linear(name, outputs, inputs):
        return {
            f"{name}.weight": draw.normal(0, inputs**-0.5, (outputs, inputs)),
            f"{name}.bias": draw.normal(0, 0.1, outputs),
        }

    def norm(name):
        return {
            f"{name}.weight": draw.uniform(0.5, 1.5, hidden),
            f"{name}.bias": draw.normal(0, 0.1, hidden),
        }

    weights = {
        f"embeddings.{name}_embeddings.weight": draw.normal(0, 1, (count, hidden))
        for name, count in (("word", words), ("position", rows), ("token_type", 2))
    }
    weights |= norm("embeddings.LayerNorm")
    for layer in range(layers):
        name = f"encoder.layer.{layer}"
        for part in ("query", "key", "value"):
            weights |= linear(f"{name}.attention.self.{part}", hidden, hidden)
        weights |= linear(f"{name}.attention.output.dense", hidden, hidden)
        weights |= norm(f"{name}.attention.output.LayerNorm")
        weights |= linear(f"{name}.intermediate.dense", middle, hidden)
        weights |= linear(f"{name}.output.dense", hidden, middle)
        weights |= norm(f"{name}.output.LayerNorm")
    weights |= linear("pooler.dense", hidden, hidden) | linear("classifier", 3, hidden)
    return {name: w.astype(np.float32) for name, w in weights.items()}


def sentences(seed=1, *, samples=4, tokens=8, words=100):
    """Inputs whose first text has no padding."""
    draw = np.random.default_rng(seed)
    lengths = draw.integers(3, tokens, samples)
    lengths[0] = tokens
    places = np.arange(tokens)[None]
    return {
        "input_ids": draw.integers(0, words, (samples, tokens)).astype(np.int32),
        "attention_mask": (places < lengths[:, None]).astype(np.int32),
        "token_type_ids": (places >= lengths[:, None] // 2).astype(np.int32),
    }
