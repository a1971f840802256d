"""The hooks' arguments, what they return, and which entries a class selects."""

from __future__ import annotations

import fnmatch

import numpy as np
import pytest

import regplug
from regplug import (
    NoMatchError,
    OptionError,
    PluginLoadError,
    Regularizer,
    RegularizerError,
    hookimpl,
)
from regplug.testing import evaluate


class Scale(Regularizer):
    """Multiply by 3 in training, by 2 in the clean graph."""

    applies = "always"

    @hookimpl
    def modify_graph(self, value, training):
        assert isinstance(training, bool)
        return value * (3 if training else 2)


class Matrices(Regularizer):
    """Sum the parameters of two dimensions."""

    targets = "params"
    weight = 1.0

    def selects(self, name, variable):
        return variable.ndim > 1

    @hookimpl
    def loss(self, matched):
        return sum(w.sum() for w in matched.values())


def net(engine):
    x = engine.T.matrix("x", dtype="float64")
    w = engine.shared(np.ones((2, 2)), name="w")
    b = engine.shared(np.ones(2), name="b")
    return x, w, b, {"h:out": engine.T.dot(x, w) + b}


def test_modify_graph_may_differ_in_training(engine, T):
    x = T.vector("x", dtype="float64")
    manager = regplug.compose([Scale()])
    result = manager.apply({"h:out": x})
    assert evaluate(result.outputs["h:out"], {x: [1.0]}) == [3]
    assert evaluate(result.clean["h:out"], {x: [1.0]}) == [2]
    layer = {"h:out": x * 1}
    manager.modify_graph(layer)
    assert evaluate(layer["h:out"], {x: [1.0]}) == [3]


def test_modify_graph_of_the_clean_graph_has_no_noise(T):
    class Noisy(Regularizer):
        applies = "always"

        @hookimpl
        def modify_graph(self, value, noise):
            return value + noise.normal(value)

    x = T.vector("x", dtype="float64")
    with pytest.raises(RegularizerError, match="ask for it where `training` is True"):
        regplug.compose([Noisy()]).apply({"h:out": x})


def test_selects_leaves_entries_out_of_the_hook_and_the_matches(engine):
    *_, outputs = net(engine)
    result = regplug.compose([Matrices()]).apply(outputs)
    assert result.matches == {"matrices": ["w"]}
    assert evaluate(result.loss) == 4


@pytest.mark.parametrize("pattern", ["b", ["w", "b"]])
def test_selects_refuses_a_name_that_is_left_out(pattern, engine):
    *_, outputs = net(engine)
    with pytest.raises(NoMatchError, match=r"matrices .* b \(.*does not act"):
        regplug.compose([Matrices(pattern)]).apply(outputs)
    optional = regplug.compose([Matrices(pattern, optional=True)])
    assert "b" not in optional.apply(outputs).matches["matrices"]


def test_selects_that_fails_is_named(engine):
    class Fails(Matrices):
        def selects(self, name, variable):
            return variable.no_such_attribute

    *_, outputs = net(engine)
    with pytest.raises(RegularizerError, match=r"fails .*, selects, \w\): raised Attr"):
        regplug.compose([Fails()]).apply(outputs)


def test_selects_refuses_while_building_what_no_layer_has(engine):
    class Wide(Regularizer):
        def selects(self, name, variable):
            return variable.ndim > 1

        @hookimpl
        def modify_graph(self, value):
            return value * 2

    x = engine.T.vector("x", dtype="float64")
    manager = regplug.compose([Wide()])
    manager.modify_graph({"h:out": x})
    with pytest.raises(NoMatchError, match="h:out .*does not act"):
        manager.loss([], {"h:out": x})


def test_constrain_gets_the_values_before_the_update(engine):
    class Half(Regularizer):
        targets = "params"

        @hookimpl
        def constrain(self, matched, before):
            return {name: (w + before[name]) / 2 for name, w in matched.items()}

    _, w, _, outputs = net(engine)
    result = regplug.compose([Half("w")]).apply(outputs)
    assert (evaluate(result.constrain({w: w * 3})[w]) == 2).all()


class Fixed(Regularizer):
    """Add the weight as the ancestor did, where it is read."""

    reads: bool = True

    @hookimpl
    def modify_graph(self, value):
        return value + (self.weight if self.reads else 1)


def test_weight_that_a_hook_reads_is_used(T):
    x = T.vector("x", dtype="float64")
    result = regplug.compose([Fixed(weight=5)]).apply({"h:out": x})
    assert evaluate(result.outputs["h:out"], {x: [1.0]}) == [6]


def test_weight_that_no_hook_takes_or_reads_is_refused_when_applied(T):
    x = T.vector("x", dtype="float64")
    manager = regplug.compose([Fixed(weight=5, reads=False)])
    # the user looks at it; the hook does not
    assert manager.members[0].regularizer.weight == 5
    with pytest.raises(OptionError, match=r"^fixed .*: weight=5.0 does nothing"):
        manager.apply({"h:out": x})
    manager = regplug.compose([Fixed(weight=5, reads=False)])
    manager.modify_graph({"h:out": x})
    with pytest.raises(OptionError, match="does nothing"):
        manager.loss([], {"h:out": x})
    optional = Fixed("no*", weight=5, reads=False, optional=True)
    regplug.compose([optional]).apply({"h:out": x})


def test_weight_that_no_constraint_reads_is_refused_when_it_constrains(engine):
    class Keep(Regularizer):
        targets = "params"
        reads: bool = False

        @hookimpl
        def constrain(self, matched):
            factor = self.weight if self.reads else 1
            return {name: w * factor for name, w in matched.items()}

    _, w, _, outputs = net(engine)
    result = regplug.compose([Keep("w", weight=2)]).apply(outputs)
    with pytest.raises(OptionError, match="weight=2.0 does nothing"):
        result.constrain({w: w + 1})
    result = regplug.compose([Keep("w", weight=2, reads=True)]).apply(outputs)
    assert (evaluate(result.constrain({w: w + 1})[w]) == 4).all()


def test_weight_declared_as_none_is_no_option():
    class Plain(Fixed):
        weight = None

    with pytest.raises(OptionError, match=r"Plain\(weight=1\): it has no weight"):
        Plain(weight=1)
    assert dict(regplug.compose([Plain()]).weights) == {}


@pytest.mark.parametrize("hook", ["loss", "modify_graph"])
def test_weight_declared_as_none_and_used_is_refused(hook):
    class Torn(Regularizer):
        weight = None

        if hook == "loss":

            @hookimpl
            def loss(self, matched):
                return None

        else:

            @hookimpl
            def modify_graph(self, value, weight):
                return value * weight

    with pytest.raises(PluginLoadError, match="says weight = None"):
        regplug.compose([Torn()])


def test_hooks_of_the_ancestor_work_as_theanets_has_them(engine):
    """The classes are written as theanets' documentation and code have them."""

    class Ancestor(Regularizer):
        def __init__(self, pattern="*", weight=0.0):
            super().__init__(pattern=pattern, weight=weight)

    def outputs_matching(outputs, pattern):
        assert isinstance(outputs, dict)
        for name, expr in outputs.items():
            if fnmatch.fnmatch(name, pattern):
                yield name, expr

    class GaussianNoise(Ancestor):
        @hookimpl
        def modify_graph(self, outputs):
            for name, expr in list(outputs_matching(outputs, self.pattern)):
                outputs[name + "-prenoise"] = expr
                outputs[name] = expr + self.weight

    class WeightL2(Ancestor):
        @hookimpl
        def loss(self, layers, outputs):
            variables = [p for each in layers for p in each.params if p.ndim > 1]
            return sum((v * v).mean() for v in variables) / len(variables)

    x, w, b, outputs = net(engine)
    params = {"h.w": w, "h.b": b}
    manager = regplug.compose([GaussianNoise("h:*", 0.5), WeightL2(weight=0.1)])
    result = manager.apply(outputs, params)
    value = {x: np.ones((1, 2))}
    assert evaluate(result.outputs["h:out"], value).tolist() == [[3.5, 3.5]]
    assert evaluate(result.outputs["h:out-prenoise"], value).tolist() == [[3, 3]]
    assert evaluate(result.loss) == pytest.approx(0.1)
    assert result.matches["gaussian_noise"] == ["h:out"]


def test_hooks_are_handed_where_units_are(engine):
    seen = {}

    class Look(Regularizer):
        targets = "params"
        weight = 1.0

        @hookimpl
        def modify_graph(self, name, value, unit_axis):
            seen["modify_graph"] = {name: unit_axis}
            return value * 1

        @hookimpl
        def loss(self, matched, unit_axis):
            seen["loss"] = {name: unit_axis[name] for name in matched}

        @hookimpl
        def constrain(self, matched, unit_axis):
            seen["constrain"] = {name: unit_axis[name] for name in matched}
            return matched

    _, w, _, outputs = net(engine)
    result = regplug.compose([Look("w")]).apply(outputs)
    result.constrain({w: w + 1})
    assert seen == dict.fromkeys(["modify_graph", "loss", "constrain"], {"w": 1})
