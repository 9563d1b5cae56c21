"""The gate's answer as JUnit XML, which CI systems show beside other tests.

There is one test suite per data set and model, and one test case per method (class) and metric (name). Runs that are
not comparable are an error, a verdict that makes the gate fall is a failure, and a metric without a value is skipped.
"""

from math import isfinite
from typing import Any
from xml.etree import ElementTree as ET

from ..escaping import xml_text
from .gate import Gate


def junit(gate: Gate) -> str:
    """The gate's answer as an XML document with counts of `tests`, `failures`, `errors` and `skipped`."""
    root = ET.Element("testsuites", name="syncbench gate")
    if gate.code == 2:
        suite = ET.SubElement(root, "testsuite", name="syncbench gate")
        case = ET.SubElement(suite, "testcase", classname="syncbench gate", name="comparable")
        ET.SubElement(case, "error", type="not comparable", message=xml_text(gate.headline))
    table: Any = gate.table
    for key, part in table.groupby(["family", "dataset", "model"], sort=True):
        suite = ET.SubElement(root, "testsuite", name=xml_text(" / ".join(map(str, key))))
        for row in part.to_dict("records"):
            _case(suite, row, gate)
    for element in (*root.findall("testsuite"), root):
        element.attrib.update({name: str(len(element.findall(f".//{tag}"))) for name, tag in COUNTED.items()})
    if gate.notes:
        ET.SubElement(root[0], "system-out").text = xml_text("\n".join(gate.notes))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=False) + "\n"


COUNTED = {"tests": "testcase", "failures": "failure", "errors": "error", "skipped": "skipped"}


def _case(suite: ET.Element, row: dict[str, Any], gate: Gate) -> None:
    case = ET.SubElement(suite, "testcase", classname=xml_text(row["method"]), name=xml_text(row["metric"]))
    numbers = {name: row[name] for name in ("worse_by", "bound", "margin", "p_holm", "n_items")}
    figures = ", ".join(f"{name} {value:.6g}" for name, value in numbers.items() if isfinite(value))
    reason = row["reason"] if isinstance(row["reason"], str) else figures
    if gate.falls(row["verdict"]):
        failure = ET.SubElement(case, "failure", type=row["verdict"], message=xml_text(f"{row['verdict']}: {reason}"))
        failure.text = figures
    elif not row["n_items"]:
        ET.SubElement(case, "skipped", message=xml_text(reason))
    else:
        ET.SubElement(case, "system-out").text = f"{row['verdict']}: {figures}"
