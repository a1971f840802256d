"""Pass: one walk over one graph, with the regularizers' hooks along the way."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial, wraps
from typing import Any, TypeVar, cast

import numpy as np

from regplug import engine as engines
from regplug.authoring.options import options_of
from regplug.authoring.schedules import Schedule
from regplug.composition.bound import BoundRegularizer
from regplug.composition.kept_arrays import State
from regplug.composition.model_updates import ModelUpdates, as_ordered, unadvanced
from regplug.composition.noise import Noise
from regplug.composition.run_state import RunState
from regplug.errors import ModelError, NoMatchError, OptionError, listing
from regplug.graph.rewiring import rewire, toposort
from regplug.models.model import Model, Outputs

Matches = Mapping[BoundRegularizer, Mapping[str, Any]]
Method = TypeVar("Method", bound=Callable[..., Any])


@dataclass
class PassHistory:
    """What passes over one model leave behind, for the next one while it is being built.

    Attributes
    ----------
    memo : dict of variable to variable
        What was replaced.
    draws : Counter
        How often each noise site has drawn.
    applied_by : dict of variable to set of BoundRegularizer
        Which members made a variable what it is.
    """

    memo: dict[Any, Any] = field(default_factory=dict)
    draws: Counter[tuple] = field(default_factory=Counter)
    applied_by: dict[Any, set[BoundRegularizer]] = field(default_factory=dict)


def _float64_is_meant(method: Method) -> Method:
    """Have the engine take float64 beside float32: weights are float64, and some formulas compute in it."""

    @wraps(method)
    def wrapped(self: GraphPass, *args: Any, **options: Any) -> Any:
        with self.run_state.engine.allow_float64():
            return method(self, *args, **options)

    return cast(Method, wrapped)


class GraphPass:
    """One pass over a model.

    Parameters
    ----------
    run_state : RunState
        The manager's shared variables.
    model : Model
    matches : mapping of BoundRegularizer to mapping of str to variable
        What each regularizer matches, in the user's order.
    history : PassHistory, optional
        Of the passes before, while the model is being built; it is extended.
    model_updates : ModelUpdates, optional
        What the model itself updates; it is rewired with the outputs.
    """

    def __init__(
        self,
        run_state: RunState,
        model: Model,
        matches: Matches,
        history: PassHistory | None = None,
        model_updates: ModelUpdates | None = None,
    ):
        self.run_state, self.model, self.matches = run_state, model, matches
        self.history = PassHistory() if history is None else history
        self.model_updates = ModelUpdates() if model_updates is None else model_updates
        self.unadvanced: list[
            Any
        ] = []  # generators whose next state is not known after `rewire`
        self._kept: dict[Any, Any] = {}
        self._states: dict[BoundRegularizer, State] = {}
        self._weights: dict[tuple[BoundRegularizer, str], Any] = {}
        self._float64_weight: dict[Any, Any] = {}
        self._added: dict[str, Any] = {}
        self._added_at: dict[str, str] = {}
        self._applied_by: dict[Any, set[BoundRegularizer]] = {}
        self._occurrence: dict[
            tuple[BoundRegularizer, Any], int
        ] = {}  # earlier regularizers of the same name there
        earlier: Counter[tuple[str, Any]] = Counter()
        for member, matched in matches.items():
            for variable in (None, *matched.values()):  # None is the loss
                self._occurrence[member, variable] = earlier[member.name, variable]
                earlier[member.name, variable] += 1

    # modify_graph

    @_float64_is_meant
    def rewire(self, members: Iterable[BoundRegularizer]) -> dict[str, Any]:
        """Let `members` modify the graph; return the model's outputs as they then stand."""
        visits: dict[Any, list[BoundRegularizer]] = {}
        for member in sorted(
            members, key=lambda member: member.regularizer.targets != "params"
        ):
            if member.hooks["modify_graph"] is not None:
                for variable in self.matches[member].values():
                    visits.setdefault(variable, []).append(member)
        functions = {v: partial(self._visit, v, each) for v, each in visits.items()}
        nodes = [*self.model.nodes, *self.model_updates.nodes]
        rewire(nodes, functions, self.history.memo)
        self.unadvanced = unadvanced(
            self.model, self.model_updates, self.history.memo, visits
        )
        self.history.applied_by.update(self._applied_by)
        return {
            name: self._present(variable)
            for name, variable in self.model.outputs.items()
        } | self._added

    def _present(self, variable: Any) -> Any:
        return self.history.memo.get(variable, variable)

    def _visit(self, old: Any, members: list[BoundRegularizer], current: Any) -> Any:
        # an earlier layer may share the variable, and have been changed by some
        done = self.history.applied_by.get(current, set())
        members = [member for member in members if member not in done]
        if current.dtype == "float16":
            # the gradient of a root takes the dtype of what the root meets, here that of the weight
            current, name = self.run_state.engine.T.tensor_copy(current), current.name
            current.name = name
        for member in members:
            target = member.regularizer.targets
            names, variables = (
                self.model.names[target][old],
                getattr(self.model, target),
            )
            layer = self.model.names_in_layer[target][names[0]]
            before = {
                name: self._present(variables[name]) for name in layer
            } | dict.fromkeys(names, current)
            outputs = dict(before)
            _require_float(member, "modify_graph", names[0], current)
            site = (member.name, names[0], self._occurrence[member, old])
            member.call(
                "modify_graph",
                names[0],
                outputs=outputs,
                matched={names[0]: current},
                weight=self._weight(
                    member, self.run_state.engine.working_dtype(current.dtype)
                ),
                noise=Noise(
                    self.run_state,
                    site,
                    self.history.draws,
                    self._float64_weight,
                    target == "outputs",
                ),
                state=self._state(member),
            )
            current = self._accept(member, names, before, outputs)
        self._applied_by[current] = done.union(members)
        return current

    def _accept(
        self,
        member: BoundRegularizer,
        names: list[str],
        before: dict[str, Any],
        outputs: dict[str, Any],
    ) -> Any:
        """Return what the plugin put in the place of the visited entry, checked."""
        old, name, target = before[names[0]], names[0], member.regularizer.targets
        wrong = partial(member.fault, "modify_graph", name)
        table, variables = self.model.names[target], getattr(self.model, target)
        results = {}
        for key, value in outputs.items():
            if key in names and value is not old:
                results[id(value)] = key
            elif key not in before:
                if target == "params" or key in self.model.outputs:
                    raise wrong(
                        f"set {key!r}, which is no entry of this layer: {', '.join(before)}"
                    )
                if self._added_at.setdefault(key, name) != name:
                    raise wrong(
                        f"added {key!r}, which was added at another output: name it after its output"
                    )
                self._added[key] = self._check_tensor(wrong, value)
            elif (
                value is not before[key]
                and table[variables[key]][0] not in self.matches[member]
            ):
                raise wrong(
                    f"replaced {key!r}, which its pattern {member.regularizer.pattern!r} does not match"
                )
        if missing := set(before) - set(outputs):
            raise wrong(
                f"removed {', '.join(sorted(missing))}; entries may be replaced only"
            )
        if not results and not member.regularizer.optional:
            raise wrong(f"left {name!r} as it was: replace outputs[{name!r}]")
        if len(results) > 1:
            raise wrong(
                f"replaced {', '.join(results.values())} differently, and they are one variable"
            )
        return (
            self._refine_type(wrong, outputs[next(iter(results.values()))], old)
            if results
            else old
        )

    def _check_tensor(
        self, wrong: Any, value: Any, expected: str = "a tensor variable"
    ) -> Any:
        if engines.name_of(value) is None or not self.run_state.engine.is_dense(value):
            raise wrong(f"returned {value!r}, expected {expected}")
        return value

    def _refine_type(self, wrong: Any, new: Any, old: Any) -> Any:
        self._check_tensor(wrong, new)
        if old.dtype == "float16" and new.dtype == "float32":
            new = self.run_state.engine.T.cast(new, old.dtype)  # rounded once
        if (new.dtype, new.ndim) != (old.dtype, old.ndim):
            raise wrong(
                f"returned {new.type}, expected {old.type}: the same dtype and number of dimensions"
            )
        lengths = zip(*map(self.run_state.engine.static_shape, (new, old)), strict=True)
        if any(None not in pair and pair[0] != pair[1] for pair in lengths):
            raise wrong(f"returned {new.type}, which does not fit {old.type}")
        return self.run_state.engine.refine_type(new, old)

    def _weight(self, member: BoundRegularizer, dtype: str) -> Any:
        """Return the live weight in a dtype, one variable for all visits; remember it in float64, for thresholds."""
        if member.weight is None:
            return None
        if (member, dtype) not in self._weights:
            engine, exact = self.run_state.engine, member.weight
            is_scheduled = isinstance(exact, Schedule)
            exact = (
                exact.at(self.run_state.step.connect(engine), engine.T)
                if is_scheduled
                else exact.connect(engine)
            )
            weight = self._weights[member, dtype] = _clip_below_bound(
                engine.T.cast(exact, dtype), member, engine
            )
            self._float64_weight[weight] = exact
        return self._weights[member, dtype]

    def _state(self, member: BoundRegularizer) -> State:
        if member not in self._states:
            found = self.matches[member]
            self._states[member] = State(
                self.run_state.arrays,
                self.run_state.engine,
                member.label,
                self._kept,
                self.model,
                found,
            )
        return self._states[member]

    # loss

    @_float64_is_meant
    def terms(self, outputs: dict[str, Any], reuse: Any = ({}, {})) -> dict[str, Any]:
        """Return each weighted term by label.

        `reuse` is the terms and outputs of another pass: a term of the same variables is taken over.
        """
        terms: dict[str, Any] = {}
        known, others = reuse
        for member, found in self.matches.items():
            arguments = member.hooks["loss"]
            if arguments is None or not found:
                continue
            is_params = member.regularizer.targets == "params"
            is_known = bool(others) and (
                is_params or all(others[name] is outputs[name] for name in found)
            )
            if is_known and not {"outputs", "layers"} & set(arguments):
                term = known.get(member.label)
            else:
                term = self._term(
                    member,
                    found if is_params else {name: outputs[name] for name in found},
                    outputs,
                )
            if term is not None:
                terms[member.label] = term
        return terms

    def _term(
        self,
        member: BoundRegularizer,
        matched: Mapping[str, Any],
        outputs: dict[str, Any],
    ) -> Any:
        """Return one weighted term, in the widest float dtype of what matched."""
        engine = self.run_state.engine
        # integers wrap and float16 overflows in sums: both are widened before the formula, rounded once after it
        wide = {
            name: engine.T.cast(v, engine.working_dtype(v.dtype))
            for name, v in matched.items()
        }
        dtype = _common_dtype(wide.values())
        weight = self._weight(member, dtype)
        rows = member.regularizer.targets == "outputs"
        sites = {
            name: (member.name, name, self._occurrence[member, v])
            for name, v in self.matches[member].items()
        }
        site = (member.name, "", self._occurrence[member, None])
        value = member.call(
            "loss",
            layers=self.model.layers,
            outputs=Outputs(outputs, self.model),
            matched=wide,
            weight=weight,
            noise=Noise(
                self.run_state,
                site,
                self.history.draws,
                self._float64_weight,
                rows,
                sites,
            ),
            state=self._state(member),
        )
        if value is None or (isinstance(value, (int, float)) and value == 0):
            return None
        wrong = partial(member.fault, "loss", "")
        self._check_tensor(wrong, value, "a scalar variable, None or 0")
        if value.ndim != 0:
            shape = str(engine.static_shape(value)).replace("None", "?")
            kind = {1: "vector", 2: "matrix"}.get(value.ndim, "tensor")
            raise wrong(f"returned a {kind} of shape {shape}, expected a scalar")
        if "float" not in value.dtype:
            raise wrong(f"returned a scalar of dtype {value.dtype}, expected a float")
        is_on = engine.T.neq(weight, 0)
        value = self._gated(engine.T.cast(value, dtype), matched.values(), is_on)
        # 0 * inf is NaN, and weight 0 is off, whatever the term is
        weighted = engine.T.switch(is_on, weight * value, np.zeros((), dtype))
        return engine.T.cast(weighted, _common_dtype(matched.values(), otherwise=dtype))

    def _gated(self, value: Any, matched: Iterable[Any], is_open: Any) -> Any:
        """Return a term that sends gradients on only while `is_open`: else they are 0, also where they were NaN.

        The term is rebuilt on gated copies of what matched, and of the parameters and inputs that it reaches by
        other ways. The copies cost nothing: compiling takes out the gates and merges what is the same.
        """
        matched = set(matched)
        nodes = toposort([value], matched)
        roots = {
            v
            for node in nodes
            for v in node.inputs
            if v.owner is None and not hasattr(v, "data")
        }
        gate = self.run_state.engine.Gate(is_open)
        gated = {
            v: gate(v)
            for v in matched | roots
            if "float" in str(getattr(v.type, "dtype", ""))
        }
        rewire(nodes, {}, gated)
        return gated.get(value, value)

    def total(self, terms: dict[str, Any]) -> Any:
        """Return the sum of the terms; a constant 0 where there are none."""
        values = list(terms.values())
        if values:
            return sum(values[1:], values[0])
        dtype = _common_dtype(self.model.outputs.values(), otherwise="float64")
        return self.run_state.engine.T.as_tensor_variable(np.zeros((), dtype))

    def rewired_updates(self) -> dict[Any, Any]:
        """Return the model's own updates, as the replacements leave them."""
        return self.model_updates.rewired(self.history.memo, without=self.unadvanced)

    def updates(self) -> dict[Any, Any]:
        """Return what a training step has to replace: kept arrays, and the step where something depends on it."""
        step = self.run_state.step.connect(self.run_state.engine)
        is_scheduled = any(
            found and isinstance(member.weight, Schedule)
            for member, found in self.matches.items()
        )
        needed = self.history.draws or self._kept or is_scheduled
        return OrderedDict(
            {step: step + 1, **self._kept} if needed else {}
        )  # Theano warns of a plain dict

    # constrain

    @_float64_is_meant
    def constrain(self, updates: Any, learning_rate: Any) -> dict[Any, Any]:
        """Return the updates with the projections applied, each in the user's order."""
        updates, params = as_ordered(updates, "constrain"), self.model.params
        constraining = {
            m: found
            for m, found in self.matches.items()
            if m.hooks["constrain"] is not None
        }
        if constraining and not any(
            variable in updates for variable in params.values()
        ):
            raise NoMatchError(
                f"constrain: the updates change none of the model's parameters: {listing(params)}."
            )
        for member, found in constraining.items():
            now = {
                name: self._as_update(name, v, updates[v])
                for name, v in found.items()
                if v in updates
            }
            if not now:
                continue
            if learning_rate is None and "learning_rate" in (
                member.hooks["constrain"] or ()
            ):
                raise OptionError(
                    f"{member.label} ({member.provenance}): constrain(updates, learning_rate=...) is needed."
                )
            for name, new in now.items():
                _require_float(member, "constrain", name, new)
            engine = self.run_state.engine
            wide = {
                name: engine.T.cast(new, engine.working_dtype(new.dtype))
                for name, new in now.items()
            }
            weight = self._weight(member, _common_dtype(wide.values()))
            results = member.call(
                "constrain",
                matched=dict(wide),
                weight=weight,
                learning_rate=learning_rate,
            )
            if not isinstance(results, Mapping) or set(results) - set(now):
                what = f"returned {results!r}, expected a dict with keys of {', '.join(now)}"
                raise member.fault("constrain", "", what)
            for name, new in results.items():
                wrong = partial(member.fault, "constrain", name)
                new = self._refine_type(wrong, new, wide[name])
                updates[found[name]] = self.run_state.engine.refine_type(
                    engine.T.cast(new, now[name].dtype), found[name]
                )
        return updates

    def _as_update(self, name: str, old: Any, new: Any) -> Any:
        try:
            new = (
                new
                if hasattr(new, "owner")
                else self.run_state.engine.T.as_tensor_variable(
                    np.asarray(new, old.dtype)
                )
            )
        except (TypeError, ValueError) as error:
            raise ModelError(
                f"constrain: the update of {name!r} is {new!r}, which is no {old.type}."
            ) from error
        is_tensor = self.run_state.engine.is_dense(new)
        if not is_tensor or (new.dtype, new.ndim) != (old.dtype, old.ndim):
            raise ModelError(
                f"constrain: the update of {name!r} is {new.type}, and the parameter is {old.type}."
            )
        return new


def _require_float(
    member: BoundRegularizer, hook: str, name: str, variable: Any
) -> None:
    """Refuse to change integers and booleans: what is not a whole number would be cut off or wrap."""
    if "float" not in variable.dtype:
        remedy = "cast it to a float in the model, or leave it out of the pattern"
        raise member.fault(
            hook,
            name,
            f"{name!r} is {variable.dtype}, and only floats can be changed: {remedy}",
        )


def _clip_below_bound(weight: Any, member: BoundRegularizer, engine: Any) -> Any:
    """Return a weight that is still below its limit in a dtype that rounds: a rate of 0.99999999 is 1 in float32."""
    option = options_of(type(member.regularizer)).get("weight")
    if weight.dtype == "float64" or option is None or "lt" not in option.bounds:
        return weight
    limit = np.asarray(option.bounds["lt"], weight.dtype)
    return engine.T.minimum(weight, np.nextafter(limit, np.asarray(0, weight.dtype)))


def _common_dtype(variables: Iterable[Any], otherwise: str = "") -> str:
    floats = [variable.dtype for variable in variables if "float" in variable.dtype]
    return str(np.result_type(*floats)) if floats else otherwise
