"""What a person reads: tables in a terminal, and HTML in a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

__all__ = ["Line", "Readable", "Section"]


class Line(NamedTuple):
    """A line of a tree.

    Attributes
    ----------
    before, below : str
        What stands before the text, and before what of it goes on in a next line.
    text : str
    """

    before: str
    below: str
    text: str


class Section(NamedTuple):
    """A table under a title, or lines.

    Attributes
    ----------
    title : str
    columns : sequence of str
        None of lines.
    rows : list of sequence of object
        The cells of each row; of lines, each a text or a `Line`.
    wraps : sequence of str
        The columns that take the width that is left.
    spare : bool
        Whether these are left out where there is no room: other sections have them.
    """

    title: str
    columns: Sequence[str]
    rows: list[Any]
    wraps: Sequence[str] = ()
    spare: bool = False


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
