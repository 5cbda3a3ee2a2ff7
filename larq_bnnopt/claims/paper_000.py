"""Claims of paper 000, AdamBNN, of which the abstract is at hand."""

from __future__ import annotations

from larq_bnnopt.claims.claim import Claim
from larq_bnnopt.claims.commands import AT_SMALL_SCALE, studied, tested


def claims_of_paper_000() -> tuple[Claim, ...]:
    """Returns the claims."""
    return (
        Claim(
            "000-adam-against-sgd",
            "abstract",
            "Adam reaches a better optimum than SGD; the trajectories of gradients and "
            "weights show why.",
            "yes",
            studied("paper_000_adam_against_sgd"),
            AT_SMALL_SCALE,
            "larq_bnnopt/studies/paper_000_adam_against_sgd.py",
        ),
        Claim(
            "000-dead-weights",
            "abstract",
            "Adam's second moment revives weights that are dead because activations "
            "are saturated.",
            "yes",
            studied("paper_000_dead_weights"),
            AT_SMALL_SCALE,
            "larq_bnnopt/studies/paper_000_dead_weights.py",
        ),
        Claim(
            "000-loss-surface",
            "abstract",
            "The loss surface of binary networks is rugged.",
            "yes",
            studied("paper_000_loss_landscape"),
            AT_SMALL_SCALE,
            "larq_bnnopt/studies/paper_000_loss_landscape.py",
        ),
        Claim(
            "000-weight-decay",
            "abstract",
            "Weight decay on the latent weights trades the stability of training "
            "against its sluggishness.",
            "yes",
            studied("paper_000_weight_decay"),
            AT_SMALL_SCALE,
            "larq_bnnopt/studies/paper_000_weight_decay.py",
        ),
        Claim(
            "000-two-step",
            "abstract, and the scripts of its code",
            "A two-step scheme: binary activations alone with weight decay, then both "
            "without it.",
            "yes",
            tested(
                "tests/larq_bnnopt/recipes/test_two_step.py",
                "test_the_same_variables_decay_as_in_adambnns_code",
            ),
            "`bnnopt study paper_000_two_step` compares it with one step",
            where="larq_bnnopt/recipes/two_step.py",
        ),
        Claim(
            "000-imagenet",
            "abstract",
            "ReActNet-A reaches 70.5 % on ImageNet, 1.1 % more than before.",
            "part",
            "bnnopt train --preset adambnn_imagenet",
            reason="the recipe is here and was never run: it needs ImageNet, a teacher "
            "and days on GPUs",
            where="larq_bnnopt/recipes/presets.py",
        ),
        Claim(
            "000-models",
            "abstract",
            "Trained models are available.",
            "no",
            reason="weights trained on ImageNet need its data and days on GPUs",
        ),
    )
