"""The metrics of a family that outputs of any program are scored by."""

from ..catalogue.listing import list_components
from ..catalogue.registry import split
from ..suites.suite import Entry, list_suites, read_suite, unique
from ..types import Family


def family_metrics(family: Family) -> tuple[Entry, ...]:
    """The metrics that the suites of this package name for a family, each once, without those of cost."""
    families = {one.id: one.family for one in list_components("datasets")}
    roles = {one.id: one.role for one in list_components("metrics")}
    parts = [part for one in list_suites() for part in read_suite(one["id"]).parts]
    mine = [part for part in parts if any(families.get(split(d.spec)[0]) == family for d in part.datasets)]
    entries = unique([entry for part in mine for entry in part.metrics])
    return tuple(entry for entry in entries if roles.get(split(entry.spec)[0]) != "cost")
