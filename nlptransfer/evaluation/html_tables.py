"""Tables of the report as HTML: text is escaped here, and numbers become words for reading."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from html import escape
from typing import Any

from nlptransfer.evaluation.verdict import share


def html_table(
    header: Sequence[str], rows: Iterable[Sequence[str]], best_row: int | None = None, *, css: str = ""
) -> str:
    """A table of text; `best_row` is set in bold."""
    lines = [
        ('<tr class="best">' if number == best_row else "<tr>") + "".join(map(html_cell, row)) + "</tr>"
        for number, row in enumerate(rows)
    ]
    return framed_table(header, lines, css=css)


def html_cell(text: str, css: str = "") -> str:
    """One cell of class `css`; cells are escaped here, and only here."""
    return f'<td class="{css}">{escape(text)}</td>' if css else f"<td>{escape(text)}</td>"


def framed_table(header: Sequence[str], lines: Iterable[str], *, css: str = "", left: Collection[str] = ()) -> str:
    """A table from its header's text and its rows' HTML; `css` is its class, `left` the columns that hold words."""
    head = "".join(
        f'<th class="words">{escape(cell)}</th>' if cell in left else f"<th>{escape(cell)}</th>" for cell in header
    )
    start = f'<table class="{css}">' if css else "<table>"
    return f'<div class="scroll">{start}<thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


def rows_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A table of rows that name their columns; a column that a row lacks is a dash."""
    header = list(dict.fromkeys(name for row in rows for name in row))
    values = {name: [row.get(name) for row in rows] for name in header}
    left = {name for name, own in values.items() if not all(value is None or _is_number(value) for value in own)}
    lines = [
        f"<tr>{''.join(html_cell(_value(row.get(name)), 'words' if name in left else '') for name in header)}</tr>"
        for row in rows
    ]
    return framed_table(header, lines, css="wrapped", left=left)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _value(value: object) -> str:
    """A value of a recipe's own table."""
    if isinstance(value, bool | Mapping | list | tuple):
        return _shown(value)
    if value is None:
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def mapping_table(values: Mapping[str, Any]) -> str:
    """A table of names and values."""
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{escape(_shown(value))}</td></tr>" for name, value in values.items()
    )
    return f'<div class="scroll"><table class="text"><tbody>{rows}</tbody></table></div>'


def _shown(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {_shown(own)}" for name, own in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_shown, value))
    return str(value)


def percent(value: float) -> str:
    """A fraction in per cent, without the sign: `76.27`."""
    return f"{value * 100:.2f}"


def share_or_dash(fraction: float | None) -> str:
    """A share in whole per cent, or a dash where there is none."""
    return "–" if fraction is None else share(fraction)
