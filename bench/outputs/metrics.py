"""The metrics of a family that outputs of any program are scored by."""

from ..catalogue.listing import list_components
from ..catalogue.registry import split
from ..suites.suite import Entry, shipped_metrics
from ..types import Family


def family_metrics(family: Family) -> tuple[Entry, ...]:
    """The metrics that the suites of this package name for data sets of a family, each once, without those of cost."""
    datasets = {one.id for one in list_components("datasets") if one.family == family}
    roles = {one.id: one.role for one in list_components("metrics")}
    return tuple(entry for entry in shipped_metrics(datasets) if roles.get(split(entry.spec)[0]) != "cost")
