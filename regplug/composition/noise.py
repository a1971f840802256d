"""Noise: the random source that the hooks are handed.

Nothing is drawn from a stateful stream. A value depends on the seed, the regularizer's name, the
output's name, k (which of the regularizers of that name on that output), the draw (the how-manieth
call), the step, the row and the column, and on nothing else: see `regplug.noise.reference`, which
has the same numbers in NumPy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from regplug.noise.reference import mask_shape

if TYPE_CHECKING:
    from regplug.composition.run_state import RunState


class Noise:
    """The random source of one regularizer at one output.

    Each call is a new draw. `like` is a float variable of shape (rows, ...): the result has its
    shape and what is known of it statically.

    Parameters
    ----------
    run_state : RunState
        The manager's keys, step and row offset.
    site : tuple of (str, str, int)
        The regularizer's name, the output's name and k.
    draws : Counter
        How often each site has drawn in this pass over a graph.
    exact : dict of variable to variable
        The weight as hooks see it -> the same in float64, from which rates are computed.
    rows : bool
        Whether axis 0 counts rows of the whole batch, from ``manager.row_offset``.
    sites : mapping of str to (str, str, int)
        The sites of the outputs that matched, in `loss`.
    """

    def __init__(
        self,
        run_state: RunState,
        site: tuple[str, str, int],
        draws: Counter[tuple],
        exact: dict[Any, Any],
        rows: bool,
        sites: Mapping[str, tuple[str, str, int]] | None = None,
    ):
        self._run_state, self._site, self._draws = run_state, site, draws
        self._exact, self._rows, self._sites = exact, rows, sites or {}

    def at(self, output: str) -> Noise:
        """Return the source of this regularizer at one of the outputs that matched (in `loss`)."""
        if output not in self._sites:
            raise ValueError(
                f"noise.at({output!r}): there is {', '.join(self._sites) or 'none; this is one already'}"
            )
        return Noise(
            self._run_state, self._sites[output], self._draws, self._exact, self._rows
        )

    def keep(self, like: Any, rate: Any, shared_axes: Iterable[int] = ()) -> Any:
        """Draw a mask, true with probability 1 - `rate`.

        Parameters
        ----------
        like : float variable, shape (rows, ...)
        rate : float or scalar variable, in [0, 1)
            The probability of False; 0 keeps everything. The threshold is computed in float64.
        shared_axes : iterable of int
            Axes along which all entries share one value: they have length 1 in the result.

        Returns
        -------
        bool variable, of the shape of `like` but for the shared axes
        """
        exact = rate
        if isinstance(rate, Real):
            if not 0 <= float(rate) < 1:
                raise ValueError(f"rate {rate!r} is out of range: >= 0, < 1")
            exact = np.float64(rate)  # engines take a float of Python for one of floatX
        elif hasattr(rate, "owner"):
            exact = self._exact.get(rate, rate)
        return self._draw("keep", like, "bool", shared_axes, exact)

    def uniform(self, like: Any) -> Any:
        """Draw numbers uniform in [0, 1), of the shape and dtype of `like`."""
        return self._draw("uniform", like, like.dtype)

    def normal(self, like: Any) -> Any:
        """Draw standard normal numbers, of the shape and dtype of `like`."""
        return self._draw("normal", like, like.dtype)

    def _draw(
        self,
        kind: str,
        like: Any,
        dtype: str,
        shared_axes: Iterable[int] = (),
        *rate: Any,
    ) -> Any:
        if "float" not in like.dtype:
            raise ValueError(
                f"noise is drawn for float variables, and {like} is {like.dtype}"
            )
        run_state, engine, axes = (
            self._run_state,
            self._run_state.engine,
            tuple(shared_axes),
        )
        offset = run_state.row_offset.connect(engine) if self._rows and like.ndim else 0
        static, offset = mask_shape(engine.static_shape(like), axes, offset)
        shape = (
            engine.T.stack(
                mask_shape([like.shape[a] for a in range(like.ndim)], axes, 0)[0]
            )
            if axes
            else like.shape
        )
        index = run_state.key_index((*self._site, self._draws[self._site]))
        self._draws[self._site] += 1
        op = engine.Draw(kind, dtype, static)
        return op(
            run_state.keys.connect(engine),
            index,
            run_state.step.connect(engine),
            offset,
            *rate,
            shape,
        )
