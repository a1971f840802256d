"""Regularizer: its constructor, and what is refused when a class is loaded."""

from __future__ import annotations

import logging
import textwrap
from typing import ClassVar

import pytest

import regplug
from regplug import OptionError, PluginLoadError, Regularizer, hookimpl
from regplug.authoring.regularizer import uses_weight
from regplug.authoring.validation import validate_class

HEAD = (
    "from dataclasses import dataclass\nfrom regplug import Regularizer, hookimpl\n\n"
)


def test_regularizer_constructor_begins_with_pattern_and_weight():
    class Lasso(Regularizer):
        @hookimpl
        def loss(self, matched):
            return None

    lasso = Lasso("hid*", 0.1)
    assert (lasso.pattern, lasso.weight, lasso.name, lasso.optional) == (
        "hid*",
        0.1,
        None,
        False,
    )
    assert repr(lasso) == "Lasso(pattern='hid*', weight=0.1)"
    assert repr(Lasso()) == "Lasso()"
    assert not hasattr(Lasso(), "weight")


def test_regularizer_refuses_an_unknown_option_with_the_nearest():
    class Lasso(Regularizer):
        pass

    with pytest.raises(
        OptionError,
        match=r"Lasso\(wieght=0.1\): unknown option 'wieght'. Did you mean 'weight'\?",
    ):
        Lasso(wieght=0.1)


def test_regularizers_compare_by_identity():
    class Lasso(Regularizer):
        pass

    one, other = Lasso(weight=1), Lasso(weight=1)
    assert one != other
    assert len({one, other}) == 2


def test_regularizer_with_a_loss_or_a_weight_argument_needs_a_weight():
    class Loss(Regularizer):
        @hookimpl
        def loss(self, matched):
            return None

    class Rate(Regularizer):
        @hookimpl
        def modify_graph(self, outputs, weight):
            pass

    class Fixed(Regularizer):
        @hookimpl
        def modify_graph(self, outputs):
            pass

    assert [uses_weight(cls) for cls in (Loss, Rate, Fixed)] == [True, True, False]
    for cls, name in ((Loss, "loss"), (Rate, "rate")):
        with pytest.raises(OptionError, match=f"^{name}: no weight given"):
            regplug.compose([cls()])
    assert regplug.compose([Fixed()]).weights == {}


def test_regularizer_class_with_a_weight_of_its_own_needs_none():
    class Loss(Regularizer):
        weight = 0.5

        @hookimpl
        def loss(self, matched):
            return None

    assert regplug.compose([Loss()]).weights == {"loss": 0.5}


def test_regularizer_log_names_it_and_what_it_matches(caplog):
    class Lasso(Regularizer):
        targets = "params"

        @hookimpl
        def loss(self, matched):
            return None

    with caplog.at_level(logging.INFO, "regplug"):
        Lasso(weight=0.1).log({"hid.w": None, "out.w": None})
    assert caplog.messages == ["Lasso(weight=0.1) on 2 params: hid.w, out.w"]


def test_regularizer_hooks_of_the_ancestor_are_accepted():
    class Ancestor(Regularizer):
        def __init__(self, pattern="*", weight=0.0):
            super().__init__(pattern=pattern, weight=weight)

        @hookimpl
        def modify_graph(self, outputs):
            pass

        @hookimpl
        def loss(self, layers, outputs):
            return 0.0

        @hookimpl
        def log(self):
            pass

    assert validate_class(Ancestor) is None


FAULTS = {
    "no_marker": (
        "class Bad(Regularizer):\n    def loss(self, matched):\n        return 0",
        "method 'loss' is named like a hook but lacks @hookimpl",
    ),
    "misspelt": (
        "class Bad(Regularizer):\n    @hookimpl\n    def los(self, matched):\n        return 0",
        "@hookimpl on 'los', which is no hook. Did you mean 'loss'?",
    ),
    "no_hook": (
        "class Bad(Regularizer):\n    @hookimpl\n    def zzz(self):\n        return 0\n"
        "    @hookimpl\n    def loss(self):\n        return 0",
        "@hookimpl on 'zzz', which is no hook",
    ),
    "argument": (
        "class Bad(Regularizer):\n    @hookimpl\n    def loss(self, match):\n        return 0",
        "hook 'loss' has no argument 'match'; it has: regularizer, layers, outputs, matched, weight, noise",
    ),
    "default": (
        "class Bad(Regularizer):\n    @hookimpl\n    def loss(self, matched=None):\n        return 0",
        "hook 'loss': argument 'matched=None' has a default",
    ),
    "star": (
        "class Bad(Regularizer):\n    @hookimpl\n    def loss(self, *args):\n        return 0",
        "hook 'loss': argument '*args' has a default, a star",
    ),
    "star_star": (
        "class Bad(Regularizer):\n    @hookimpl\n    def loss(self, **kwargs):\n        return 0",
        "hook 'loss': argument '**kwargs' has a default, a star",
    ),
    "keyword_only": (
        "class Bad(Regularizer):\n    @hookimpl\n    def loss(self, *, matched):\n        return 0",
        "hook 'loss': argument 'matched' has a default, a star or is keyword-only",
    ),
    "equality": (
        "class Bad(Regularizer):\n    def __eq__(self, other):\n        return True\n    __hash__ = None\n"
        "    @hookimpl\n    def loss(self, matched):\n        return 0",
        "defines __eq__",
    ),
    "dataclass": (
        "@dataclass\nclass Bad(Regularizer):\n    l1: float = 0.5\n    @hookimpl\n    def loss(self, matched):\n"
        "        return 0",
        "defines __eq__ (a dataclass does)",
    ),
    "targets": (
        "class Bad(Regularizer):\n    targets = 'weights'\n    @hookimpl\n    def loss(self):\n        return 0",
        "targets = 'weights' is not one of 'outputs', 'params'",
    ),
    "applies": (
        "class Bad(Regularizer):\n    applies = 'never'\n    @hookimpl\n    def loss(self, matched):\n        return 0",
        "applies = 'never' is not one of 'training', 'always'",
    ),
    "hookless": (
        "class Bad(Regularizer):\n    pass",
        "implements none of the hooks: modify_graph, loss",
    ),
    "wrapper": (
        "class Bad(Regularizer):\n    @hookimpl(wrapper=True)\n    def loss(self, matched):\n        return (yield)",
        "hook 'loss' is a wrapper",
    ),
    "old_wrapper": (
        "class Bad(Regularizer):\n    @hookimpl(hookwrapper=True)\n    def loss(self, matched):\n        yield",
        "hook 'loss' is a wrapper",
    ),
    "foreign": ("class Bad:\n    pass", "is not a subclass of regplug.Regularizer"),
    "function": ("def Bad():\n    pass", "is not a subclass of regplug.Regularizer"),
    "option": (
        "class Bad(Regularizer):\n    rate: 'Missing' = 1\n    @hookimpl\n    def loss(self):\n        return 0",
        "its options cannot be read: NameError: name 'Missing' is not defined",
    ),
    "option_of_no_syntax": (
        "class Bad(Regularizer):\n    rate: 'float |' = 1\n    @hookimpl\n    def loss(self):\n        return 0",
        "its options cannot be read: ",
    ),
    "unmarked_in_a_base": (
        "class Base:\n    def loss(self, matched):\n        return 0\n"
        "class Bad(Base, Regularizer):\n    @hookimpl\n    def constrain(self, matched):\n        return {}",
        "method 'loss' is named like a hook but lacks @hookimpl",
    ),
    "near_miss": (
        "class Bad(Regularizer):\n    target = 'params'\n    @hookimpl\n    def loss(self):\n        return 0",
        "attribute 'target' means nothing to regplug. Did you mean 'targets'?",
    ),
    "near_miss_of_a_base": (
        "class Base:\n    patterns = '*.w'\n"
        "class Bad(Base, Regularizer):\n    @hookimpl\n    def loss(self):\n        return 0",
        "attribute 'patterns' means nothing to regplug. Did you mean 'pattern'?",
    ),
}


def test_attribute_that_is_no_near_miss_is_accepted():
    class Patterned(Regularizer):
        targets, applies, pattern, optional = "params", "always", "*.w", True
        patterns: str = "an option"
        applied: ClassVar[int] = 3
        _target = "params"
        rate = 0.5
        options = ("a", "b")

        @hookimpl
        def loss(self, matched):
            return None

        def target(self):
            pass

        @property
        def applie(self):
            return None

    assert validate_class(Patterned) is None


def test_attribute_that_is_a_keyword_of_an_own_init_is_no_near_miss():
    class Ancestor(Regularizer):
        target = "hid"

        def __init__(self, pattern="*", weight=0.0, target="hid"):
            super().__init__(pattern=pattern, weight=weight)
            self.target = target

        @hookimpl
        def loss(self, matched):
            return None

    assert validate_class(Ancestor) is None


@pytest.mark.parametrize("fault", FAULTS)
def test_class_that_breaks_a_rule_is_refused_when_loaded_by_name_and_package(
    fault, package
):
    source, what = FAULTS[fault]
    package(
        "regplug-bad",
        {"bad": "regplug_bad:Bad"},
        "regplug_bad",
        HEAD + source,
        version="0.3",
    )
    with pytest.raises(PluginLoadError) as caught:
        regplug.load("bad")
    text = str(caught.value)
    assert text.startswith("'bad' (regplug-bad 0.3) is refused: ")
    assert what in text
    assert "See: regplug doctor bad" in text


@pytest.mark.parametrize("fault", FAULTS)
def test_class_that_breaks_a_rule_is_refused_by_compose(fault, package):
    source, what = FAULTS[fault]
    package("regplug-bad", {"bad": "regplug_bad:Bad"}, "regplug_bad", HEAD + source)
    with pytest.raises(PluginLoadError, match="regplug-bad 0.1"):
        regplug.compose([("bad", 0.5)])


def test_instance_of_a_class_that_breaks_a_rule_is_refused_by_compose():
    class Bad(Regularizer):
        def loss(self, matched):
            return 0

    with pytest.raises(
        PluginLoadError, match="Bad is refused: .*'loss' is named like a hook"
    ):
        regplug.compose([Bad(weight=1)])


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("import not_there_at_all", "No module named 'not_there_at_all'"),
        ("1 / 0", "division by zero"),
        ("import sys; sys.exit(3)", r"SystemExit: 3"),
        ("raise KeyError", "KeyError"),
        ("class Other: pass", "has no attribute 'Bad'"),
        ("def (:", "invalid syntax"),
    ],
)
def test_plugin_that_does_not_import_is_named_and_harms_no_other(source, what, package):
    good = textwrap.dedent("""
        from regplug import Regularizer, hookimpl

        class Good(Regularizer):
            @hookimpl
            def loss(self, matched):
                return 0
    """)
    package(
        "regplug-bad", {"bad": "regplug_bad:Bad"}, "regplug_bad", source, version="0.3"
    )
    package("regplug-good", {"good": "regplug_good:Good"}, "regplug_good", good)
    with pytest.raises(
        PluginLoadError,
        match=rf"'bad' \(regplug-bad 0.3\) could not be imported: .*{what}",
    ) as caught:
        regplug.load("bad")
    assert "Other regularizers are unaffected. See: regplug doctor bad" in str(
        caught.value
    )
    assert caught.value.__cause__ is not None
    assert regplug.compose([("good", 0.5)]).weights == {"good": 0.5}
    assert {"bad", "good"} <= {entry.name for entry in regplug.available()}
