"""What a person reads: tables in a terminal, and HTML in a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

__all__ = ["Readable", "Section"]


class Section(NamedTuple):
    """A table under a title, or lines.

    Attributes
    ----------
    title : str
    columns : sequence of str
        None of lines.
    rows : list of sequence of object
        The cells of each row; of lines, one text each.
    wraps : sequence of str
        The columns that take the width that is left.
    """

    title: str
    columns: Sequence[str]
    rows: list[Any]
    wraps: Sequence[str] = ()


class Readable:
    """Something whose text is tables, and that a notebook shows as HTML."""

    def sections(self) -> Iterable[Section]:
        """Return what is shown, in order."""
        raise NotImplementedError

    def __str__(self) -> str:
        # imports rich
        from regplug.tables import as_text

        return as_text(self.sections())

    def _repr_html_(self) -> str:
        from regplug.tables import as_html

        return as_html(self.sections())
