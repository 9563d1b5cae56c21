"""Text made safe for where it goes: terminals, Markdown, CSV, JSON, XML.

Names, reasons and prompts may be a stranger's. HTML is escaped by Jinja's autoescape and by `board.page.embedded`,
LaTeX by `latex.escape`, BibTeX by `cite`; all show what `visible` leaves.
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
"""What a terminal acts on, and what changes how other text is seen without being seen itself."""
NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold, escaped or not."""
PLAIN = {
    **dict.fromkeys("─━═—–", "-"),
    **dict.fromkeys("│┃║", "|"),
    **dict.fromkeys("┼╇╪┿", "+"),
    **{"±": "+-", "↓": "v", "↑": "^", "→": ">", "·": ".", "°": "o"},
}
"""What tables are made of, for streams that hold ASCII only."""


def visible(text: str) -> str:
    """`text` on one line, with what is invisible or acts on a terminal shown as `\\x1b`, `\\u202e` or `\\n`.

    >>> visible("a\\x1b[31mb\\n")
    'a\\\\x1b[31mb\\\\n'
    """
    return INVISIBLE.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode(), text)


def visible_lines(text: str) -> str:
    """`visible` of every line: for text of our own that repeats a stranger's in places."""
    return "\n".join(map(visible, text.split("\n")))


def markdown(text: str) -> str:
    """Markdown that shows `text` as it is, in a table cell too: no markup, HTML, links or mentions."""
    text = re.sub(r"([\\`*\[\]<>|#~&$])", r"\\\1", visible(text.replace("\n", " ")))
    # A character without width between: code hosts look for these in the text after all markup is gone.
    text = re.sub(r"#(?=\d)", "#&#8203;", text)
    text = re.sub(r"(?<![\w/])@(?=\w)|(?<=\w)@(?=[\w-]+\.\w)", "@&#8203;", text)
    text = re.sub(r"(?<=\w):(?=//)", ":&#8203;", text)
    return re.sub(r"\b(www)\.", r"\1&#8203;.", text, flags=re.IGNORECASE)


def csv_cell(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula: text that begins with = + - @ gets an apostrophe before it.

    Numbers stay as they are.
    """
    if not isinstance(value, str):
        return value
    text = visible(value)
    return f"'{text}" if text.lstrip().startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠")) else text


def json_text(content: Any, **how: Any) -> str:
    """JSON of `content` that can be printed: what is invisible stands as an escape of JSON's own."""
    return printable_json(json.dumps(content, ensure_ascii=False, **how))


def printable_json(text: str) -> str:
    """JSON, of any origin, with what is invisible in its texts as escapes of JSON's own."""
    return INVISIBLE.sub(lambda found: found[0] if found[0] in "\n\r\t" else json.dumps(found[0])[1:-1], text)


def xml(text: Any) -> str:
    """Text that XML can hold; escaping `<` and the like is the writer's."""
    return NOT_XML.sub("�", str(text))


def _plainer(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(str.maketrans(PLAIN))
    return text.encode("ascii", "backslashreplace").decode(), error.end


codecs.register_error("syncbench", _plainer)
"""For streams that cannot hold a character: tables keep their lines, the rest becomes escapes."""
