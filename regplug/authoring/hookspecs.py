"""The hooks: what a regularizer may implement, and what a wrapper plugin sees.

A hookimpl declares the arguments that it wants, in any order, by these names.
"""

from __future__ import annotations

import pluggy

__all__ = ["constrain", "hookimpl", "hookspec", "log", "loss", "modify_graph"]

hookspec = pluggy.HookspecMarker("regplug")
hookimpl = pluggy.HookimplMarker("regplug")


@hookspec(firstresult=True)
def modify_graph(
    regularizer, name, value, outputs, weight, noise, state, training, unit_axis
):
    """Return what takes the place of one output, or one parameter, wherever it is used.

    Called once for each match, upstream first.

    Parameters
    ----------
    regularizer : Regularizer
        The instance at work (for wrapper plugins).
    name : str
        The name of the entry that is visited.
    value : variable
        The entry as it stands, a float: integers and booleans are refused. For a
        parameter it is the expression so far.
    outputs : dict of str to variable
        As for classes of theanets: its one entry is the visited one, and setting it
        does what returning does. The others of its layer (for parameters: its
        parameters) can be read by name. What is set under a new name is an output of
        the result, and never matched.
    weight : scalar variable
        The live strength, in the dtype of `value`, float32 where that is float16; None
        where the regularizer has no weight. What is made of it in float32 for a float16
        entry is rounded once.
    noise : regplug.composition.noise.Noise
        The random source of this regularizer at this entry, in training.
    state : regplug.composition.kept_arrays.State
        The arrays that it keeps between steps.
    training : bool
        Whether this is the graph for training: classes with ``applies = "always"`` are
        called for the clean graph, too.
    unit_axis : int or None
        Which axis holds the units of a parameter, or the channels of an output; None
        where the graph does not show it.

    Returns
    -------
    variable
        Another one than `value`, of its dtype and number of dimensions. None where
        ``outputs[name]`` was set instead.
    """


@hookspec(firstresult=True)
def loss(regularizer, layers, outputs, matched, weight, noise, state, unit_axis):
    """Return the unweighted penalty, a float scalar; None, 0 or 0.0 mean no term.

    Called once a model; the manager multiplies by the weight, and rounds once, to the
    widest float dtype of the model's own variables. At weight 0 the term is 0, and so
    is its gradient with respect to what matched, the parameters and the inputs,
    whatever the penalty is there.

    Parameters
    ----------
    regularizer : Regularizer
        The instance at work (for wrapper plugins).
    layers : list of Layer
        The model's layers, in graph order.
    outputs : Outputs, a dict of str to variable
        All outputs of the rewired graph; ``outputs.match(pattern)`` selects some, also
        by role.
    matched : dict of str to variable
        Everything that the pattern matches, in graph order. A parameter is the
        parameter itself; float16 is there as float32, integers and booleans as floatX.
    weight : scalar variable
        The live strength, in the widest dtype of `matched`.
    noise : regplug.composition.noise.Noise
        The random source of this regularizer; ``noise.at(name)`` is one output's.
    state : regplug.composition.kept_arrays.State
        The arrays that it keeps between steps.
    unit_axis : mapping of str to int or None
        Which axis of each entry holds its units or channels.
    """


@hookspec(firstresult=True)
def constrain(regularizer, matched, before, weight, learning_rate, unit_axis):
    """Return projections of updated parameters: ``{name: variable}`` for some or all.

    Called by ``result.constrain(updates)``, after the optimizer's updates.

    Parameters
    ----------
    regularizer : Regularizer
        The instance at work.
    matched : dict of str to variable
        The updated value of each matched parameter, as constraints earlier in the list
        left it; float16 as float32, and what is returned for it is rounded.
    before : dict of str to variable
        The value of each before the update.
    weight : scalar variable
        The live strength, in the widest dtype of `matched`; None without a weight.
    learning_rate : float or scalar variable
        What the caller gave; a hook that asks for it makes it an error to give none.
    unit_axis : mapping of str to int or None
        Which axis of each parameter holds its units.
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
