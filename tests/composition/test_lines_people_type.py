"""Lines that people type: right ones, slips, and other libraries' words.

Each works, or its error holds the line to write, and that line works.
"""

from __future__ import annotations

import ast
import re

import pytest

import regplug
from regplug.discovery.vocabulary import _ELSEWHERE, _LINES
from regplug.errors import RegplugError

# what is typed -> the line that composes the same
RIGHT = {
    "dropout=0.5": "dropout=0.5",
    "dropout = 0.5 @ hid*:out": "dropout=0.5@hid*:out",
    "dropout=.5@a,b": "dropout=0.5@a,b",
    "dropout=5e-1@@hidden": "dropout=0.5",
    "dropout=0.5@*,!out:*": "dropout=0.5@*,!out:*",
    "dropout(shared_axes=[1])=0.5@hid*:out": "dropout(shared_axes=[1])=0.5@hid*:out",
    "dropout( shared_axes = [1, 2] ) = 0.5": "dropout(shared_axes=[1, 2])=0.5",
    "max_norm(limit=3)@*.w": "max_norm(limit=3.0)@*.w",
    "weight_l2(reduction='sum', half=true)=1e-4@*.w": 'weight_l2(reduction="sum", half=true)=0.0001@*.w',
    "Dropout=0.5": "dropout=0.5",
    "DropConnect=0.5@*.w": "drop_connect=0.5@*.w",
    "dropconnect=0.5": "drop_connect=0.5",
    "MaxNorm(limit=2)": "max_norm(limit=2.0)",
    "weight-decay=0.01": "weight_l2=0.01",
    "weight_decay=0.01": "weight_l2=0.01",
    "GaussianNoise=0.1": "noise=0.1",
    "GaussianDropout=0.3": "gaussian_dropout=0.3",
    "AlphaDropout=0.3": "alpha_dropout=0.3",
    "ar=2@rnn:out": "hidden_l2=2@rnn:out",
    "TAR=1@rnn:out": "recurrent_state=1@rnn:out",
    "regplug-noise/dropout=0.5": "dropout=0.5",
    "dropout={schedule='linear', start=0, stop=0.5, steps=9}@h": (
        'dropout={schedule = "linear", start = 0.0, stop = 0.5, steps = 9}@h'
    ),
    'dropout(name="first")=0.5@hid1:out': 'dropout(name="first")=0.5@hid1:out',
    'dropout=0.5@"a, b"': 'dropout=0.5@"a, b"',
}

# what is typed -> the line to write
SLIPS = {
    "dropout@hid:out=0.5": "dropout=0.5@hid:out",
    "dropout@a, b = 0.5": "dropout=0.5@a, b",
    "weight_l2(reduction=sum)=0.1": 'weight_l2(reduction="sum")=0.1',
    "weight_l2(biases=True)=0.1": "weight_l2(biases=true)=0.1",
    "dropout(shared_axes=(1,))=0.5": "dropout(shared_axes=[1])=0.5",
    "dropout(rate=0.5)": "dropout=0.5",
    "dropout(p=0.5)@hid:out": "dropout=0.5@hid:out",
    "dropout(keep_prob=0.9)": "dropout=0.1",
    "noise(std=0.1)": "noise=0.1",
    "noise(stddev=0.1)": "noise=0.1",
    "weight_l2(lambda=0.1)": "weight_l2=0.1",
    "weight_l2(strength=0.1, use_bias=true)": "weight_l2(biases=true)=0.1",
    "max_norm=3": "max_norm(limit=3.0)",
    "max_norm(c=3)@*.w": "max_norm(limit=3)@*.w",
    "max_norm(limit=3, dim=0)": "max_norm(limit=3, axis=0)",
    "nuclear_norm(eps=1e-3)=1": "nuclear_norm(epsilon=0.001)=1",
    "spectral_norm(n_power_iterations=3)": "spectral_norm(iterations=3)",
    "dropout(noise_shape=[1])=0.5": "dropout(shared_axes=[1])=0.5",
    "elsewhere/dropout=0.5": "regplug-noise/dropout",
    "l2=0.01": 'weight_l2(reduction="sum")=0.01@*',
    "L1=0.01": 'weight_l1(reduction="sum")=0.01@*',
    "l1_l2=0.1": "elastic_net(l1_ratio=0.2)=0.05@*",
    "SpatialDropout2D=0.5": "spatial_dropout=0.5@@hidden",
    "activity_l2=0.1": 'hidden_l2(reduction="batch")=0.01@@hidden',
    "clipnorm=1": "max_norm(limit=3)@*",
}
ENTRIES = {
    ("dropout", 0.5, "hid:out"): "dropout=0.5@hid:out",
    ("dropout",): "dropout",
}

# what is typed -> what is said, where there is no line to write
WORDS = {
    "droput=0.5": "? Nearest: dropout, drop_path,",
    "wieght_l2=1": "Did you mean 'weight_l2' (regplug-weights",
    "BatchNorm": "it is a layer",
    "label_smoothing=0.1": "it changes the targets",
    "mixup=0.2": "it changes the batches",
    "gradient_clipping=1": "it changes gradients",
    "dropout=half": "'half' is no weight",
    "dropout=50%": "'50%' is no weight",
    "dropout(shared_axes=[1)=0.5": "this parenthesis is not closed",
    "dropout=2": "2.0 is out of range: >= 0, < 1",
    "dropout(resacle=true)=0.5": "Did you mean 'rescale'?",
    "": "the name of a regularizer is missing",
}


def composed(item):
    return str(regplug.compose([item]).members[0].regularizer)


def test_there_are_sixty_lines():
    assert len(RIGHT) + len(SLIPS) + len(ENTRIES) + len(WORDS) >= 60


@pytest.mark.parametrize("line", RIGHT)
def test_line_that_is_right_works(line):
    assert composed(line) == RIGHT[line]
    assert composed(RIGHT[line]) == RIGHT[line]


@pytest.mark.parametrize(("item", "line"), [*SLIPS.items(), *ENTRIES.items()])
def test_slip_is_refused_with_a_line_that_works(item, line):
    with pytest.raises(RegplugError) as caught:
        regplug.compose([item])

    written = re.findall(r"[Ww]rite ('(?:[^'\\]|\\.)*')", str(caught.value))
    assert [ast.literal_eval(text) for text in written] == [line]
    if "=" in line or "(" in line:
        composed(line)


@pytest.mark.parametrize("line", WORDS)
def test_line_that_nobody_can_mend_is_refused_in_words(line):
    with pytest.raises(RegplugError) as caught:
        regplug.compose([line])

    assert WORDS[line] in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("names", _LINES)
def test_line_for_a_name_of_elsewhere_works(names):
    meaning, line = _LINES[names]
    composed(line)
    for name in names.split():
        with pytest.raises(regplug.UnknownRegularizerError) as caught:
            regplug.load(name)
        assert f"{meaning}: write {line!r}" in str(caught.value)


@pytest.mark.parametrize("names", _ELSEWHERE)
def test_name_that_is_no_regularizer_says_where_to_find_it(names):
    for name in names.split():
        with pytest.raises(regplug.UnknownRegularizerError) as caught:
            regplug.load(name)
        assert _ELSEWHERE[names] in str(caught.value)
