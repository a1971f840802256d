"""Wrapper plugins: they see each call of a hook with its regularizer."""

from __future__ import annotations

import types

import pluggy
import pytest
from toys import Sum, Times

import regplug
from regplug import CompositionError, Regularizer, RegularizerError, hookimpl
from regplug.testing import evaluate


class Tracer:
    """Note each call."""

    def __init__(self):
        self.calls = []

    @hookimpl(wrapper=True)
    def modify_graph(self, regularizer, name):
        self.calls.append(("before", regularizer, [name]))
        result = yield
        self.calls.append(("after", regularizer, [name]))
        return result

    @hookimpl(wrapper=True)
    def loss(self, regularizer, matched):
        result = yield
        self.calls.append(("loss", regularizer, list(matched)))
        return result

    @hookimpl(wrapper=True)
    def log(self, regularizer):
        self.calls.append(("log", regularizer))
        return (yield)


class OldTracer:
    """Note each call, as pluggy's wrappers were written before 1.2."""

    def __init__(self):
        self.calls = []

    @hookimpl(hookwrapper=True)
    def loss(self, regularizer, matched):
        outcome = yield
        self.calls.append((regularizer, outcome.get_result().ndim))


@pytest.fixture
def model(T):
    x = T.vector("x", dtype="float64")
    h = x * 1
    return {"in:out": x, "h:out": h, "y:out": h + 1}


def test_wrapper_sees_each_call_with_its_regularizer(model):
    tracer, times, total = Tracer(), Times(["h:out", "y:out"]), Sum("y:out")
    manager = regplug.compose([total, times], plugins=[tracer])
    manager.apply(model)
    assert tracer.calls == [
        ("before", times, ["h:out"]), ("after", times, ["h:out"]),
        ("before", times, ["y:out"]), ("after", times, ["y:out"]),
        ("loss", total, ["y:out"]), ("loss", total, ["y:out"]),
    ]  # fmt: skip
    tracer.calls.clear()
    manager.log()
    assert tracer.calls == [("log", total), ("log", times)]


def test_wrapper_of_the_old_style_sees_the_result(model):
    tracer, total = OldTracer(), Sum("h:out")
    regplug.compose([total], plugins=[tracer]).apply(model)
    assert tracer.calls == [(total, 0)]


def test_wrapper_may_change_the_term(model):
    class Half:
        @hookimpl(wrapper=True)
        def loss(self):
            return (yield) / 2

    class Third:
        @hookimpl(hookwrapper=True)
        def loss(self):
            outcome = yield
            outcome.force_result(outcome.get_result() / 3)

    result = regplug.compose([Sum("in:out")], plugins=[Half(), Third()]).apply(model)
    assert evaluate(result.loss, {model["in:out"]: [6.0]}) == 1


def test_wrappers_nest_in_their_own_order(model):
    calls = []

    def wrapper(name, **marks):
        class Wrapper:
            @hookimpl(wrapper=True, **marks)
            def loss(self):
                calls.append(name)
                return (yield)

        return Wrapper()

    plugins = [
        wrapper("middle"),
        wrapper("inner", trylast=True),
        wrapper("outer", tryfirst=True),
    ]
    regplug.compose([Sum("h:out")], plugins=plugins).apply({"h:out": model["h:out"]})
    assert calls == ["outer", "middle", "inner"]


def test_wrapper_does_not_change_the_order_of_the_regularizers(model):
    tracer = Tracer()
    regularizers = [Times("y:out"), Times("h:out")]
    regplug.compose(regularizers, plugins=[tracer]).apply(model)
    assert [call[2] for call in tracer.calls if call[0] == "before"] == [
        ["h:out"],
        ["y:out"],
    ]


def test_wrapper_may_be_a_module(model):
    module = types.ModuleType("tracing")
    seen = []

    @hookimpl(wrapper=True)
    def loss(regularizer):
        seen.append(regularizer)
        return (yield)

    module.loss = loss
    total = Sum("h:out")
    regplug.compose([total], plugins=(module,)).apply({"h:out": model["h:out"]})
    assert seen == [total]


def test_wrappers_may_come_from_any_iterable(model):
    tracer = Tracer()
    regplug.compose([Sum("h:out")], plugins=(each for each in [tracer])).apply(model)
    assert tracer.calls


def test_plugin_that_is_no_wrapper_is_refused():
    class Meter:
        @hookimpl
        def loss(self, matched):
            return None

    class Bare:
        def loss(self, matched):
            yield

    for plugin in (Meter(), Sum("h:out")):
        with pytest.raises(
            CompositionError,
            match=r"'(loss|log)' as no wrapper: mark it @hookimpl\(wrapper=True\)",
        ):
            regplug.compose([Sum("h:out")], plugins=[plugin])
    for plugin in (Bare(), object(), "tracing", 5, None):
        with pytest.raises(
            CompositionError, match="wraps none of the hooks: modify_graph, loss"
        ) as caught:
            regplug.compose([Sum("h:out")], plugins=[plugin])
        assert repr(plugin) in str(caught.value)


@pytest.mark.parametrize("plugins", [5, None, Tracer()])
def test_plugins_that_are_no_list_are_refused(plugins):
    with pytest.raises(
        CompositionError, match="plugins: .* is no list of wrapper plugins"
    ):
        regplug.compose([Sum("h:out")], plugins=plugins)


def test_plugin_listed_twice_is_refused():
    tracer = Tracer()
    with pytest.raises(CompositionError, match="plugins: .*Tracer.* is listed twice"):
        regplug.compose([Sum("h:out")], plugins=[tracer, tracer])


def test_plugin_that_pluggy_refuses_is_refused_when_composing():
    class Argument:
        @hookimpl(wrapper=True)
        def loss(self, model):
            return (yield)

    class Plain:
        @hookimpl(wrapper=True)
        def loss(self):
            return 0

    for plugin, what in (
        (Argument(), "model"),
        (Plain(), "generator"),
        (Tracer, "instance"),
    ):
        with pytest.raises(
            CompositionError, match=f"plugins: .* is refused: (?s:.*){what}"
        ):
            regplug.compose([Sum("h:out")], plugins=[plugin])


def failing(where, old=False):
    class Meter:
        if old:

            @hookimpl(hookwrapper=True)
            def loss(self):
                if where == "before":
                    raise OSError("disk full")
                yield
                if where == "after":
                    raise OSError("disk full")

        else:

            @hookimpl(wrapper=True)
            def loss(self):
                if where == "before":
                    raise OSError("disk full")
                result = yield
                if where == "after":
                    raise OSError("disk full")
                return result

        def __repr__(self):
            return "<a meter>"

    return Meter()


@pytest.mark.parametrize("where", ["before", "after"])
def test_wrapper_that_fails_is_named_as_the_one_at_fault(where, model):
    with pytest.raises(RegularizerError) as caught:
        regplug.compose([Sum("h:out")], plugins=[Tracer(), failing(where)]).apply(model)
    text = str(caught.value)
    assert text.startswith("sum (")
    assert "the wrapper plugin <a meter> around it raised OSError: disk full" in text


def test_wrapper_of_the_old_style_that_fails_is_named(model):
    with pytest.raises(
        RegularizerError,
        match="the wrapper plugin <a meter> around it raised OSError: disk full",
    ):
        regplug.compose([Sum("h:out")], plugins=[failing("before", old=True)]).apply(
            model
        )
    with (
        pytest.warns(pluggy.PluggyTeardownRaisedWarning),
        pytest.raises(
            RegularizerError,
            match="the wrapper plugin <a meter> around it raised OSError: disk full",
        ),
    ):
        regplug.compose([Sum("h:out")], plugins=[failing("after", old=True)]).apply(
            model
        )


@pytest.mark.parametrize("yields", [0, 2])
def test_wrapper_that_does_not_yield_once_is_named(yields, model):
    class Meter:
        @hookimpl(wrapper=True)
        def loss(self):
            for _ in range(yields):
                result = yield
            return result if yields else None

        def __repr__(self):
            return "<a meter>"

    with pytest.raises(
        RegularizerError,
        match="a wrapper plugin around it raised RuntimeError: .*test_wrappers",
    ):
        regplug.compose([Sum("h:out")], plugins=[Meter()]).apply(model)


def test_regularizer_that_fails_within_wrappers_is_the_one_at_fault(model):
    class Lasso(Regularizer):
        weight = 1.0

        @hookimpl
        def loss(self, matched):
            raise KeyError("w")

    with pytest.raises(RegularizerError) as caught:
        regplug.compose(
            [Lasso("h:out")],
            plugins=[Tracer(), failing("never"), failing("never", old=True)],
        ).apply(model)
    assert "raised KeyError: 'w'" in str(caught.value)
    assert "the wrapper plugin" not in str(caught.value)


def test_regularizer_that_fails_is_at_fault_where_a_wrapper_passes_its_error_on(model):
    class Lasso(Regularizer):
        weight = 1.0

        @hookimpl
        def loss(self, matched):
            raise KeyError("w")

    with (
        pytest.warns(pluggy.PluggyTeardownRaisedWarning),
        pytest.raises(
            RegularizerError, match=r"^lasso \(.*Lasso, loss\): raised KeyError: 'w'"
        ),
    ):
        regplug.compose([Lasso("h:out")], plugins=[OldTracer()]).apply(model)
