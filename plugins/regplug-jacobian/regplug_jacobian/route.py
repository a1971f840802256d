"""Which part of a graph leads from inputs to an output, and the same part on other inputs."""

from __future__ import annotations

import numpy as np

from regplug import NoMatchError
from regplug.engine import engine_of, nonzero, norm, tensor
from regplug.graph import rewire, toposort


def routes(outputs, wrt, matched):
    """Find the inputs on which each matched output depends.

    Parameters
    ----------
    outputs : regplug.models.model.Outputs
    wrt : str or list of str
        The pattern of the inputs.
    matched : dict of str to variable
        The outputs.

    Returns
    -------
    dict of str to list of variable
        The inputs of each output, each variable once.

    Raises
    ------
    NoMatchError
        `wrt` matches nothing.
    ValueError
        An input is not float, no output depends on it, or an output depends on none.
        Dependence is through float variables: a mask made from a comparison has no
        derivative.
    """
    found = inputs_of(outputs, wrt, matched)
    for name, x in found.items():
        if "float" not in x.dtype:
            raise ValueError(
                f"wrt={wrt!r}: {name!r} is {x.dtype} and has no derivative; "
                f"{how_to_name(outputs, matched)}"
            )
    chosen = {
        name: [x for x in dict.fromkeys(found.values()) if x is h or route([x], h)]
        for name, h in matched.items()
    }
    for name, inputs in chosen.items():
        if not inputs:
            raise ValueError(
                f"{name!r} does not depend on {', '.join(map(repr, found))}, which "
                f"wrt={wrt!r} matches; {how_to_name(outputs, matched)}"
            )
    for name, x in found.items():
        # beside the input, the role has the targets of a graph without layers
        if wrt != "@input" and not any(x in inputs for inputs in chosen.values()):
            raise ValueError(
                f"wrt={wrt!r}: {', '.join(map(repr, matched))} does not depend on "
                f"{name!r}; {how_to_name(outputs, matched)}"
            )
    return chosen


def inputs_of(outputs, wrt, matched):
    """Return what `wrt` matches; say what to write where that is nothing."""
    try:
        return outputs.match(wrt)
    except NoMatchError as error:
        what = str(error).removeprefix("outputs.match: ").removesuffix(".")
        raise NoMatchError(
            f"wrt={wrt!r}: {what}; {how_to_name(outputs, matched)}."
        ) from error


def how_to_name(outputs, matched):
    """Return what to write to name the input."""
    choices = []
    for name, x in outputs.items():
        reached = [h for h in matched.values() if h is not x and route([x], h)]
        if reached and "float" in x.dtype:
            choices.append(f"wrt={name!r}")
    # a graph's variables without a name are no outputs
    choices = [*choices[:4], "x.name = 'x' and wrt='x' where the input x has no name"]
    return f"write {', or '.join(choices)}"


def route(inputs, output):
    """Return the apply nodes along which values flow from `inputs` to `output`, in topological order.

    What depends only on the shapes of the inputs, as masks of noise do, is not among
    them.
    """
    nodes = toposort([output], set(inputs))
    carry = set(inputs)
    for node in nodes:
        if not carry.isdisjoint(node.inputs):
            carry.update(
                v for v in node.outputs if "float" in str(getattr(v.type, "dtype", ""))
            )
    feed = carry & {output}
    along = []
    for node in reversed(nodes):
        if not feed.isdisjoint(node.outputs):
            feed.update(carry.intersection(node.inputs))
            along.append(node)
    return along[::-1]


def on_other_inputs(output, replacements):
    """Return `output` as it is computed from other inputs.

    Parameters
    ----------
    output : variable
    replacements : dict of variable to variable
        Input -> what takes its place, of the same shape.

    Returns
    -------
    variable
        What lies outside the `route`, masks of noise included, is shared with `output`.
    """
    memo = {x: engine_of(x).refine_type(new, x) for x, new in replacements.items()}
    rewire(route(list(replacements), output), {}, memo)
    return memo[output]


def products(nodes, x):
    """Return the pairs (z, W), z = x W, if `nodes` use the matrix `x` in no other way; else none."""
    T = tensor(x)
    made = set().union(*(node.outputs for node in nodes), [x])
    pairs = []
    for node in nodes:
        if x not in node.inputs:
            continue
        left, right = node.inputs if len(node.inputs) == 2 else (None, None)
        if left is not x or right in made or (x.ndim, right.ndim) != (2, 2):
            return []
        if node.op not in [
            product(x, right).owner.op
            for product in (T.dot, getattr(T, "matmul", T.dot))
        ]:
            return []
        pairs.append((node.outputs[0], right))
    return pairs


def is_elementwise(nodes, inputs):
    """Tell whether each entry of what `nodes` make of the matrices `inputs` depends on the same entry of these only."""
    kind = type((inputs[0] + inputs[0]).owner.op)
    shapes = {ones(v) for node in nodes for v in node.outputs} | {
        ones(v) for v in inputs
    }
    return len(shapes) == 1 and all(isinstance(node.op, kind) for node in nodes)


def ones(variable):
    """Return for each axis whether it is known to have length 1, and so may be broadcast."""
    return tuple(length == 1 for length in engine_of(variable).static_shape(variable))


def refuse_few_axes(matched, least, expected):
    """Refuse outputs of less than `least` axes."""
    for name, h in matched.items():
        if h.ndim < least:
            found = "is a scalar" if h.ndim == 0 else f"has {h.ndim} dimensions"
            raise ValueError(
                f"{name!r} {found}, expected {expected}: match another output"
            )


def wide(x):
    """Return `x` in float32 at least: sums of float16 overflow, and squares of it vanish."""
    return x.astype(engine_of(x).working_dtype(x.dtype))


def number_of_rows(x):
    """Return the length of axis 0 of `x`, to divide by: 1 where it is 0."""
    return nonzero(x.shape[0].astype(wide(x).dtype))


def squares(arrays):
    """Return the sum of the squares of all entries of several arrays."""
    return sum((wide(each) ** 2).sum() for each in arrays)


def flat_rows(x):
    """Return `x` with all axes but the first flattened into one, shape (batch, entries)."""
    if x.ndim == 2:
        return x
    # no -1: NumPy cannot tell what it is where there are no rows
    return x.reshape((x.shape[0], tensor(x).prod(x.shape[1:])))


def unit(arrays):
    """Return arrays whose rows, taken together over all of them, have norm 1; rows of zeros stay."""
    T = tensor(arrays[0])
    together = T.concatenate([flat_rows(each) for each in arrays], axis=1)
    # numba multiplies by reciprocals, and those of smaller numbers are infinite
    length = T.maximum(norm(together, axis=1), np.finfo(together.dtype).tiny)
    return [each / length.dimshuffle(0, *["x"] * (each.ndim - 1)) for each in arrays]
