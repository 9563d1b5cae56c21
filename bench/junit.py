"""The gate's answer as JUnit XML, which CI systems show beside other tests.

One test suite per data set and model, one test case per method (class) and metric (name). Not comparable is an
error, a verdict that makes the gate fall is a failure, a metric without any value is skipped.
"""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import re
from math import isfinite
from typing import Any
from xml.etree import ElementTree as ET

from .gate import Gate

FORBIDDEN = re.compile(r"[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold, escaped or not."""


def junit(gate: Gate) -> str:
    """The XML document, in UTF-8, with `tests`, `failures`, `errors` and `skipped` counted."""
    root = ET.Element("testsuites", name="syncbench gate")
    if gate.code == 2:
        suite = ET.SubElement(root, "testsuite", name="syncbench gate")
        case = ET.SubElement(suite, "testcase", classname="syncbench gate", name="comparable")
        ET.SubElement(case, "error", type="not comparable", message=_clean(gate.headline))
    table: Any = gate.table
    for key, part in table.groupby(["family", "dataset", "model"], sort=True):
        suite = ET.SubElement(root, "testsuite", name=_clean(" / ".join(map(str, key))))
        for row in part.to_dict("records"):
            _case(suite, row, gate)
    for element in (*root.findall("testsuite"), root):
        found = {name: len(element.findall(f".//{tag}")) for name, tag in COUNTED.items()}
        element.attrib.update({name: str(count) for name, count in found.items()})
    if gate.notes:
        ET.SubElement(root[0], "system-out").text = _clean("\n".join(gate.notes))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=False) + "\n"


COUNTED = {"tests": "testcase", "failures": "failure", "errors": "error", "skipped": "skipped"}


def _case(suite: ET.Element, row: dict[str, Any], gate: Gate) -> None:
    case = ET.SubElement(suite, "testcase", classname=_clean(row["method"]), name=_clean(row["metric"]))
    numbers = {name: row[name] for name in ("worse_by", "bound", "margin", "p_holm", "n_items")}
    said = ", ".join(f"{name} {value:.6g}" for name, value in numbers.items() if isfinite(value))
    reason = row["reason"] if isinstance(row["reason"], str) else said
    if gate.falls(row["verdict"]):
        failure = ET.SubElement(case, "failure", type=row["verdict"], message=_clean(f"{row['verdict']}: {reason}"))
        failure.text = said
    elif not row["n_items"]:
        ET.SubElement(case, "skipped", message=_clean(reason))
    else:
        ET.SubElement(case, "system-out").text = f"{row['verdict']}: {said}"


def _clean(text: Any) -> str:
    return FORBIDDEN.sub("�", str(text))
