"""Noise: the random source that the hooks are handed.

Nothing is drawn from a stateful stream. A value depends on the seed, the regularizer's
name, the output's name, k (which of the regularizers of that name on that output), the
draw (the how-manieth call), the step, the row and the column, and on nothing else: see
`regplug.noise.reference`, which has the same numbers in NumPy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from regplug.noise.reference import mask_shape

if TYPE_CHECKING:
    from regplug.composition.run_state import RunState

__all__ = ["Noise"]


@dataclass(frozen=True, repr=False)
class Noise:
    """The random source of one regularizer at one output.

    Each call is a new draw. `like` is a float variable of shape (rows, ...): the result
    has its shape and what is known of it statically.

    Parameters
    ----------
    _run_state : RunState
        The manager's keys, step and row offset.
    _site : tuple of (str, str, int)
        The regularizer's name, the output's name and k.
    _draws : Counter
        How often each site has drawn in this pass over a graph.
    _float64_weights : dict of variable to variable
        The weight as hooks see it -> the same in float64, from which rates are
        computed.
    _counts_batch_rows : bool
        Whether axis 0 counts rows of the whole batch, from ``manager.row_offset``.
    _training : bool
        Whether there is noise at all: it is none in the clean graph.
    _sites : mapping of str to (str, str, int)
        The sites of the outputs that matched, in `loss`.
    """

    _run_state: RunState
    _site: tuple[str, str, int]
    _draws: Counter[tuple]
    _float64_weights: Mapping[Any, Any]
    _counts_batch_rows: bool
    _training: bool = True
    _sites: Mapping[str, tuple[str, str, int]] = field(default_factory=dict)

    def __repr__(self) -> str:
        name, output, _ = self._site
        where = f" at {output!r}" if output else ""
        return f"<regplug noise of {name!r}{where}>"

    def at(self, output: str) -> Noise:
        """Return the source at one of the outputs that matched (in `loss`)."""
        if output not in self._sites:
            known = ", ".join(self._sites) or "none; this is one already"
            raise ValueError(f"noise.at({output!r}): there is {known}")
        return replace(self, _site=self._sites[output], _sites={})

    def keep(self, like: Any, rate: Any, shared_axes: Iterable[int] = ()) -> Any:
        """Draw a mask, true with probability 1 - `rate`.

        Parameters
        ----------
        like : float variable, shape (rows, ...)
        rate : float or scalar variable, in [0, 1)
            The probability of False; 0 keeps everything. The threshold is computed in
            float64.
        shared_axes : iterable of int
            Axes along which all entries share one value: they have length 1 in the
            result.

        Returns
        -------
        bool variable, of the shape of `like` but for the shared axes
        """
        if isinstance(rate, Real):
            if not 0 <= float(rate) < 1:
                raise ValueError(f"rate {rate!r} is out of range: >= 0, < 1")
            # engines take a float of Python for one of floatX
            rate = np.float64(rate)
        elif hasattr(rate, "owner"):
            rate = self._float64_weights.get(rate, rate)
        return self._draw("keep", like, "bool", tuple(shared_axes), rate)

    def uniform(self, like: Any) -> Any:
        """Draw numbers uniform in [0, 1), of the shape and dtype of `like`."""
        return self._draw("uniform", like, like.dtype)

    def normal(self, like: Any) -> Any:
        """Draw standard normal numbers, of the shape and dtype of `like`."""
        return self._draw("normal", like, like.dtype)

    def _draw(
        self,
        kind,
        like,
        dtype,
        shared_axes=(),
        *rate,
    ):
        if "float" not in like.dtype:
            what = f"and {like} is {like.dtype}"
            raise ValueError(f"noise is drawn for float variables, {what}")
        if not self._training:
            remedy = "ask for it where `training` is True"
            raise ValueError(f"noise is drawn in the graph for training only: {remedy}")
        run_state, engine = self._run_state, self._run_state.engine
        offset: Any = 0
        if self._counts_batch_rows and like.ndim:
            offset = run_state.row_offset.connect(engine)
        static, offset = mask_shape(engine.static_shape(like), shared_axes, offset)
        shape = like.shape
        if shared_axes:
            lengths = [like.shape[axis] for axis in range(like.ndim)]
            shape = engine.T.stack(mask_shape(lengths, shared_axes, 0)[0])
        index = run_state.key_index((*self._site, self._draws[self._site]))
        self._draws[self._site] += 1
        return engine.Draw(kind, dtype, static)(
            run_state.keys.connect(engine),
            index,
            run_state.step.connect(engine),
            offset,
            *rate,
            shape,
        )
