"""The pieces of a page: text that is no markup, tables, pictures that open large."""

import base64
import html
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

HERE = Path(__file__).parent
PAGE = Template((HERE / "page.html").read_text("utf-8"))
STYLE = (HERE / "page.css").read_text("utf-8")


def page(title: str, lead: str, content: Iterable[str]) -> str:
    """A whole page, which fetches nothing."""
    return PAGE.substitute(
        title=html.escape(title),
        lead=html.escape(lead),
        style=STYLE,
        content="\n".join(content),
    )


def section(title: str, content: str, note: str = "") -> str:
    """A part of the page with its heading; `content` is markup."""
    said = f'<p class="note">{html.escape(note)}</p>' if note else ""
    return f"<section><h2>{html.escape(title)}</h2>{said}{content}</section>"


def beside(*sections: str) -> str:
    """Sections beside each other, where there is room."""
    return f'<div class="two">{"".join(sections)}</div>'


def tiles(values: Iterable[tuple[str, str]]) -> str:
    """Numbers with what they are."""
    return (
        '<dl class="tiles">'
        + "".join(
            f'<div class="tile"><dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd></div>'
            for value, name in values
        )
        + "</dl>"
    )


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table with headings of its columns; it scrolls by itself where it is too wide."""
    names = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in head)
    lines = "".join(
        f"<tr>{''.join(f'<td>{html.escape(str(cell))}</td>' for cell in row)}</tr>"
        for row in rows
    )
    return _scrolling(caption, f"<thead><tr>{names}</tr></thead><tbody>{lines}</tbody>")


def facts(caption: str, values: Mapping[str, Any]) -> str:
    """A table of names and values."""
    rows = "".join(
        f'<tr><th scope="row">{html.escape(name.replace("_", " "))}</th>'
        f"<td>{html.escape(str(value))}</td></tr>"
        for name, value in values.items()
    )
    return _scrolling(caption, f"<tbody>{rows}</tbody>")


def _scrolling(caption: str, content: str) -> str:
    # What scrolls must be reached by the keyboard.
    label = html.escape(caption, quote=True)
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{label}">'
        f"<table><caption>{html.escape(caption)}</caption>{content}</table></div>"
    )


def picture(content: bytes, kind: str, description: str) -> str:
    """A picture that fills the window when it is chosen, and goes back when it is again.

    Args:
        content: The file.
        kind: `"svg+xml"` or `"png"`.
        description: What it shows, for who does not see it.
    """
    label = html.escape(description, quote=True)
    data = base64.b64encode(content).decode()
    return (
        f'<details class="picture"><summary aria-label="enlarge: {label}">'
        f'<img alt="{label}" loading="lazy" src="data:image/{kind};base64,{data}">'
        "</summary></details>"
    )


def chart(figure: Any, description: str) -> str:
    """A figure of matplotlib as a picture; inside of its `figure_of`."""
    content = io.BytesIO()
    figure.savefig(content, format="svg", metadata={"Date": None})
    return picture(content.getvalue(), "svg+xml", description)
