"""Jobs that failed, by names that a user knows."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..store.folder import Store
from ..types import Header


class JobName(NamedTuple):
    """A job's name, and what tells it from jobs of the same name."""

    name: str
    where: str


Named = tuple[JobName, str]
"""A job's name, and a text about the job."""


def job_name(header: Header) -> JobName:
    """The name of the job of a header or a record."""
    name = f"{header.method} {header.item} seed {header.seed}"
    return JobName(name, f"of {header.dataset} with model {header.model}")


def by_name(texts: Mapping[str, Named]) -> dict[str, str]:
    """Texts by job name, from names and texts by key; longer names where data sets or models share items' names."""
    short = Counter(job.name for job, _ in texts.values())
    full = Counter(job for job, _ in texts.values())
    found: dict[str, str] = {}
    for key, (job, text) in texts.items():
        more = [job.where] if short[job.name] > 1 else []
        more += [f"({key})"] if full[job] > 1 else []
        found[" ".join([job.name, *more])] = text
    return found


def failures(store: Store, keys: Sequence[str]) -> dict[str, Named]:
    """Names and errors of failed jobs, and of jobs with failed metrics, by key."""
    found: dict[str, Named] = {}
    wanted = set(keys)
    grouped = [row for group in store.groups().values() for row in group.rows if row.key in wanted]
    for row in [row for key in keys for row in store.scores(key)] + grouped:
        if row.status == "error":
            found.setdefault(row.key, (job_name(row), f"{row.metric}: {row.reason}"))
    for key in keys:
        job = store.job(key)
        if job is not None and job.status == "error":
            found[key] = (job_name(job.header), f"{job.error}")
    return found
