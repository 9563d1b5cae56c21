"""Text made safe for terminals, Markdown, CSV, JSON and XML.

Names, reasons and prompts may come from untrusted results. HTML is escaped by Jinja's autoescape and by
`board.page.embedded`, LaTeX by `latex.escape`, BibTeX by `cite`; all of these receive text that `visible` has escaped.
"""

import codecs
import json
import re
from typing import Any

INVISIBLE = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # control characters: escape sequences begin with one
    "\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # direction, line ends, no width
    "\ud800-\udfff\U000e0000-\U000e007f]"  # lone surrogates, tags
)
"""Characters that a terminal obeys, or that change how other text looks without being seen."""
NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold, escaped or not."""
PLAIN = {
    **dict.fromkeys("─━═—–", "-"),
    **dict.fromkeys("│┃║", "|"),
    **dict.fromkeys("┼╇╪┿", "+"),
    **{"±": "+-", "↓": "v", "↑": "^", "→": ">", "·": ".", "°": "o"},
}
"""ASCII characters in the place of those that tables are drawn with, for streams that hold ASCII only."""


def visible(text: str) -> str:
    """`text` on one line, with characters that are INVISIBLE written as `\\x1b`, `\\u202e` or `\\n`.

    >>> visible("a\\x1b[31mb\\n")
    'a\\\\x1b[31mb\\\\n'
    """
    return INVISIBLE.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode(), text)


def visible_lines(text: str) -> str:
    """`text` with every line made `visible` and its line ends kept, for our own text that quotes untrusted text."""
    return "\n".join(map(visible, text.split("\n")))


def markdown(text: str) -> str:
    """Markdown that shows `text` literally, also in a table cell: without markup, HTML, links or mentions."""
    text = re.sub(r"([\\`*\[\]<>|#~&$])", r"\\\1", visible(text.replace("\n", " ")))
    # A character without width between: code hosts look for these in the text after all markup is gone.
    text = re.sub(r"#(?=\d)", "#&#8203;", text)
    text = re.sub(r"(?<![\w/])@(?=\w)|(?<=\w)@(?=[\w-]+\.\w)", "@&#8203;", text)
    text = re.sub(r"(?<=\w):(?=//)", ":&#8203;", text)
    return re.sub(r"\b(www)\.", r"\1&#8203;.", text, flags=re.IGNORECASE)


def csv_cell(value: Any) -> Any:
    """The value of a CSV cell that no spreadsheet reads as a formula.

    Text that begins with = + - or @ gets an apostrophe before it; numbers stay as they are.
    """
    if not isinstance(value, str):
        return value
    text = visible(value)
    return f"'{text}" if text.lstrip().startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠")) else text


def json_text(content: Any, **how: Any) -> str:
    """JSON of `content` that is safe to print: INVISIBLE characters are JSON escapes. `how` goes to `json.dumps`."""
    return printable_json(json.dumps(content, ensure_ascii=False, **how))


def printable_json(text: str) -> str:
    """JSON text with its INVISIBLE characters, except line ends and tabs, written as JSON escapes."""
    return INVISIBLE.sub(lambda found: found[0] if found[0] in "\n\r\t" else json.dumps(found[0])[1:-1], text)


def xml_text(text: Any) -> str:
    """`text` as a string in which `�` replaces characters that XML cannot hold; the caller escapes `<` and `&`."""
    return NOT_XML.sub("�", str(text))


def _plainer(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(str.maketrans(PLAIN))
    return text.encode("ascii", "backslashreplace").decode(), error.end


codecs.register_error("syncbench", _plainer)
"""Handler `syncbench` of encoding errors: lines of tables become ASCII, other characters become escapes."""
