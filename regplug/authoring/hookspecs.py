"""The hooks: what a regularizer may implement, and what a wrapper plugin sees.

A hookimpl declares the arguments that it wants, in any order, by these names.
"""

from __future__ import annotations

import pluggy

__all__ = ["constrain", "hookimpl", "hookspec", "log", "loss", "modify_graph"]

hookspec = pluggy.HookspecMarker("regplug")
hookimpl = pluggy.HookimplMarker("regplug")


@hookspec(firstresult=True)
def modify_graph(regularizer, outputs, matched, weight, noise, state):
    """Replace one output, or one parameter, wherever the model uses it.

    Called once for each match, upstream first.

    Parameters
    ----------
    regularizer : Regularizer
        The instance at work (for wrapper plugins).
    outputs : dict of str to variable
        All outputs of the layer (for parameters: all its parameters) as they stand. The hook
        replaces the visited entry; names that it adds are kept and never matched.
    matched : dict of str to variable
        The one entry being visited, a float: integers and booleans are refused.
    weight : scalar variable, dtype of the entry, float32 where that is float16
        The live strength; None where the regularizer has no weight. What is made of it in float32 for a float16
        entry is rounded once.
    noise : regplug.composition.noise.Noise
        The random source of this regularizer at this entry.
    state : regplug.composition.kept_arrays.State
        The arrays that it keeps between steps.
    """


@hookspec(firstresult=True)
def loss(regularizer, layers, outputs, matched, weight, noise, state):
    """Return the unweighted penalty, a float scalar; None, 0 or 0.0 mean no term.

    Called once a model; the manager multiplies by the weight, and rounds once, to the widest float
    dtype of the model's own variables. At weight 0 the term is 0, and so is its gradient with
    respect to what matched, the parameters and the inputs, whatever the penalty is there.

    Parameters
    ----------
    regularizer : Regularizer
        The instance at work (for wrapper plugins).
    layers : list of Layer
        The model's layers, in graph order.
    outputs : Outputs, a dict of str to variable
        All outputs of the rewired graph; ``outputs.match(pattern)`` selects some, also by role.
    matched : dict of str to variable
        Everything that the pattern matches, in graph order. A parameter is the parameter itself;
        float16 is there as float32, integers and booleans as floatX.
    weight : scalar variable
        The live strength, in the widest dtype of `matched`.
    noise : regplug.composition.noise.Noise
        The random source of this regularizer; ``noise.at(name)`` is one output's.
    state : regplug.composition.kept_arrays.State
        The arrays that it keeps between steps.
    """


@hookspec(firstresult=True)
def constrain(regularizer, matched, weight, learning_rate):
    """Return projections of updated parameters: ``{name: variable}`` for some or all of `matched`.

    Called by ``result.constrain(updates)``, after the optimizer's updates.

    Parameters
    ----------
    regularizer : Regularizer
        The instance at work.
    matched : dict of str to variable
        The updated value of each matched parameter, as constraints earlier in the list left it;
        float16 as float32, and what is returned for it is rounded.
    weight : scalar variable
        The live strength, in the widest dtype of `matched`; None without a weight.
    learning_rate : float or scalar variable
        What the caller gave; a hook that asks for it makes it an error to give none.
    """


@hookspec
def log(regularizer, matched):
    """Write one line to the ``regplug`` logger.

    Parameters
    ----------
    regularizer : Regularizer
        The instance at work.
    matched : dict of str to variable
        What its pattern matched in the latest model; empty before there was one.
    """
