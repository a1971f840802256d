"""Other libraries' names, and which package has which of ours: what to write instead.

A name of elsewhere is an alias (one more entry point) only where it is the same number:
see docs/parity.md. Those of this page are not, or are no regularizers of graphs.
"""

from __future__ import annotations

import os
import re
import sys

__all__ = [
    "PACKAGES",
    "comparable",
    "install_advice",
    "known_package",
    "meaning_elsewhere",
    "pip_install",
]

# The packages that are developed with regplug, and what they offer.
PACKAGES = {
    "regplug-activations": (
        "confidence_penalty decov hidden_l1 hidden_l2 kl_sparsity total_variation "
        "hidden_sparsity ar"
    ),
    "regplug-jacobian": "contractive gradient_penalty jacobian virtual_adversarial",
    "regplug-noise": (
        "alpha_dropout drop_block drop_path dropout gaussian_dropout locked_dropout "
        "noise salt_and_pepper spatial_dropout uniform_noise gaussian_noise"
    ),
    "regplug-recurrent": "recurrent_norm recurrent_state temporal_activation tar",
    "regplug-weights": (
        "drop_connect elastic_net group_lasso group_soft_threshold l2_sp max_norm "
        "min_max_norm non_negative nuclear_norm orthogonality soft_threshold "
        "spectral_norm spectral_penalty unit_norm weight_l1 weight_l2 weight_noise "
        "weight_standardization weight_decay weight_sparsity"
    ),
}

# names -> what is meant, and the line to write
_LINES = {
    "l2 ridge tikhonov frobenius": (
        "elsewhere it is the sum of the squares of the weights",
        'weight_l2(reduction="sum")=0.01@*',
    ),
    "l1 lasso": (
        "elsewhere it is the sum of the absolute values of the weights",
        'weight_l1(reduction="sum")=0.01@*',
    ),
    "l1_l2": (
        "L1L2(l1=0.01, l2=0.02) of Keras is an elastic net whose weight is "
        "l1 + 2 * l2, and l1_ratio is l1 / weight",
        "elastic_net(l1_ratio=0.2)=0.05@*",
    ),
    "activity_l2 activity_regularization": (
        "Keras' is the sum of the squares of the activations divided by the batch size",
        'hidden_l2(reduction="batch")=0.01@@hidden',
    ),
    "activity_l1": (
        "Keras' is the sum of the absolute activations divided by the batch size",
        'hidden_l1(reduction="batch")=0.01@@hidden',
    ),
    "spatial_dropout_1d spatial_dropout_2d spatial_dropout_3d dropout_1d dropout_2d "
    "dropout_3d channel_dropout feature_dropout": (
        "whole channels are dropped by spatial_dropout; where the graph does not show "
        "the axis of the channels, say it: channel_axis=1",
        "spatial_dropout=0.5@@hidden",
    ),
    "variational_dropout": (
        "one mask for all time steps is locked_dropout; time is axis 1",
        "locked_dropout=0.5@@hidden",
    ),
    "recurrent_dropout weight_drop": (
        "one mask of a recurrent matrix for all time steps is drop_connect on it",
        "drop_connect=0.5@*",
    ),
    "stochastic_depth": (
        "whole samples of a residual branch are dropped by drop_path",
        "drop_path=0.2@@hidden",
    ),
    "input_noise additive_noise": ("noise on the input", "noise=0.1@@input"),
    "orthogonal orthogonal_regularizer soft_orthogonality": (
        "Keras' OrthogonalRegularizer(0.01) compares rows by their cosines",
        'orthogonality(kind="cosine", mode="rows")=0.01@*',
    ),
    "spectral_normalization": (
        "Keras' and torch's divide by the largest singular value",
        "spectral_norm@*",
    ),
    "non_neg non_negativity": ("negative weights become 0", "non_negative@*"),
    "norm_constraint renorm": ("the norms of units are limited", "max_norm(limit=3)@*"),
    "trace_norm schatten": ("the sum of the singular values", "nuclear_norm=1e-3@*"),
    "group_l1 l21 structured_sparsity": (
        "norms of groups of weights, with or without exact zeros "
        "(group_soft_threshold)",
        "group_lasso=1e-3@*",
    ),
    "proximal_l1 soft_thresholding ista": (
        "exact zeros need a proximal step, through result.constrain",
        "soft_threshold=1e-3@*",
    ),
    "tv smoothness": ("neighbours differ little", "total_variation=1e-3@@output"),
    "entropy entropy_penalty negative_entropy": (
        "predictions of low entropy are penalized",
        "confidence_penalty=0.1@@output",
    ),
    "vat": ("virtual adversarial training", "virtual_adversarial=1@@output"),
    "kl sparsity kl_divergence sparse_autoencoder": (
        "the mean activation of each unit is pulled towards rho",
        "kl_sparsity(rho=0.05)=0.1@@hidden",
    ),
    "ewc l2_init": (
        "the distance of the weights from where they started, each entry alike",
        "l2_sp=0.01@*",
    ),
    "jacobian_regularization": ("by random projections", "jacobian=0.01@@output"),
}

# names -> where to find what is no regularizer of graphs
_ELSEWHERE = {
    "batch_norm batch_normalization layer_norm layer_normalization group_norm rms_norm "
    "instance_norm batch_norm_1d batch_norm_2d": (
        "it is a layer, with parameters of its own: build it into the model "
        "(pytensor-ml has BatchNorm, LayerNorm, GroupNorm and RMSNorm)"
    ),
    "weight_norm weight_normalization": (
        "it adds parameters, so it belongs to the model; weight_standardization and "
        "unit_norm come near"
    ),
    "label_smoothing": (
        "it changes the targets: hand the cost t * (1 - 0.1) + 0.1 / t.shape[1] in the "
        "place of t; confidence_penalty=0.1@@output comes near"
    ),
    "mixup cutmix cutout random_erasing augmentation data_augmentation random_crop": (
        "it changes the batches, and the targets with them: do it where the data are "
        "loaded"
    ),
    "clip clip_norm clip_value global_clip_norm grad_clip grad_norm clip_grad_norm "
    "gradient_clipping clipping": (
        "it changes gradients on their way to the optimizer: clip them before you hand "
        "them over (pytensor.gradient.grad_clip, or g * minimum(1, c / norm)); to "
        "limit weights, write 'max_norm(limit=3)@*'"
    ),
    "early_stopping": "it ends the training: stop where the validation score falls",
    "decoupled_weight_decay adamw": (
        "it is no penalty but a part of the optimizer's step: use an optimizer that "
        "has it"
    ),
    "zoneout": "it needs the states inside a scan, which no hook reaches yet",
    "swa ema weight_averaging": (
        "it averages parameters over steps: keep the averages as updates of your own"
    ),
}


def pip_install() -> str:
    """Return how to call the pip of this Python, to install something."""
    # none of these is needed where nothing goes wrong
    import shlex
    import shutil

    first = shutil.which("python") or ""
    python = "python"
    # not by what it links to: that is the same for all environments
    if sys.executable and os.path.dirname(first) != os.path.dirname(sys.executable):
        python = shlex.quote(sys.executable)
    return f"{python} -m pip install"


def install_advice(*packages: str, upgrade: bool = False) -> str:
    """Return how to install packages that are developed with regplug."""
    pip, option = pip_install(), "--upgrade " if upgrade else ""
    names = " ".join(map(_quoted, packages))
    paths = " ".join(map(_folder, packages))
    return f"{pip} {option}{names} (or, in a checkout of regplug: {pip} {paths})"


def _quoted(name):
    return f"'{name}'" if "[" in name else name


def _folder(package):
    if package.startswith("regplug["):
        return _quoted(package.replace("regplug", "."))
    return _quoted(f"./plugins/{package}")


def comparable(name: str) -> str:
    """Return a name without what spellings differ in: case, hyphens, underscores."""
    return re.sub(r"[\W_]+", "", name).lower()


def _by_spelling(table):
    found = {}
    for names, value in table.items():
        for name in names.split():
            found[comparable(name)] = value
    return found


def meaning_elsewhere(name: str) -> str:
    """Return what a name means in other libraries, and what to write; or empty."""
    key = comparable(name)
    lines, elsewhere = _by_spelling(_LINES), _by_spelling(_ELSEWHERE)
    if key in lines:
        meaning, line = lines[key]
        return f"{meaning}: write {line!r}"
    if key in elsewhere:
        return f"it is not a regularizer of graphs here: {elsewhere[key]}"
    return ""


def known_package(name: str) -> str:
    """Return the package, of those developed with regplug, that offers a name."""
    key = comparable(name)
    for package, names in PACKAGES.items():
        if key in map(comparable, names.split()):
            return package
    return ""
