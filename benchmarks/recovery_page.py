"""The page of recovery: the figures of a run, the command that made them, and what was written by hand, which stays."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path

from figures import Results

BY_HAND = "<!-- by hand: from here on the benchmark changes nothing -->"
_ABOUT = """\
# Recovery: how much of what could be known is found

A simulated company has customers whose truth is known ([simulator.md](simulator.md)). The *oracle* knows their whole
latent state; the *observable ceiling* knows all equations and parameters, but sees only the rows that a company has: no
model can do better but by luck. The package is trained as by `churn train`, knows neither, and is judged beside both on
the same customers. A share is (model - .5) / (ceiling - .5) of the AUROCs, the mean of the test cutoffs; intervals are
95 % over customers drawn jointly for all cutoffs. The ceiling's own noise, of particles and futures, lowers it a
little and is not in them, so a share may pass 100 %.

Version {version}, {date}; Python {python}, {cores} cores:

{commands}"""


def write_recovery(page: Path, results: Results, *, commands: Sequence[str], version: str, date: str) -> None:
    """Writes the figures of a run; what stands behind the mark on an existing page stays.

    Raises:
        ValueError: the page is there without the mark: it isn't ours to overwrite.
    """
    kept = f"\n{BY_HAND}\n"
    if page.exists():
        _, mark, rest = page.read_text(encoding="utf-8").partition(BY_HAND)
        if not mark:
            raise ValueError(f'{page} has no line "{BY_HAND}": it was not written by this benchmark')
        kept = f"\n{BY_HAND}{rest}"
    typed = "\n".join(f"    python benchmarks/recovery.py {one}" for one in commands)
    about = _ABOUT.format(
        version=version, date=date, python=platform.python_version(), cores=os.cpu_count(), commands=typed
    )
    draft = page.with_name(f".{page.name}.draft")
    draft.write_text(f"{about}\n\n{results.to_text()}\n{kept}", encoding="utf-8")
    draft.replace(page)
