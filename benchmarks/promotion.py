"""The benchmark of the promotion rule: how often chance is promoted, and how often a small effect is.

    python benchmarks/promotion.py [--quick] [--seeds N] [--power N] [--customers N] [--keep FILE] [--json]

Small companies where nothing tells who leaves (`no_signal`), and others where something does, a little (friction
matters 0.4 times as much as in `retail`) or as in `retail`. Each is trained on by the steps of `churn train`, and its
verdict kept. Exit codes: 0 at most 5 of 100 companies without a signal are promoted; 1 more are; 2 it cannot be run so.
With `--keep` every verdict is added to a file at once, and those that are there aren't made again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from figures import Check, Part, Results
from measuring import ROOT, progress_of
from scipy.stats import binomtest

sys.path.insert(0, str(ROOT))  # churn needn't be installed

from promotion_trial import EFFECTS, HORIZON_DAYS, MONTHS, Trial, tried

from churn.errors import ChurnError

SEEDS, POWER_SEEDS, CUSTOMERS, FIRST_SEED = 100, 40, 800, 1
QUICK = 2
MOST_SHARE = 0.05
FALLS_SHORT, UNUSABLE = 1, 2
Found = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmark and returns its exit code."""
    given = _arguments(arguments)
    progress = progress_of(is_silent=given.json)
    try:
        found = verdicts(trials(given), keep=given.keep, progress=progress)
    except (ChurnError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return UNUSABLE
    results = Results([part_of(found, customers=given.customers, is_judged=given.seeds >= SEEDS)], [])
    print(json.dumps(results.to_dict(), ensure_ascii=False) if given.json else results.to_text())
    return FALLS_SHORT if results.short else 0


def trials(given: argparse.Namespace) -> list[Trial]:
    """Returns the companies that are asked for: without a signal first."""
    counts = {effect: given.power if matters else given.seeds for effect, matters in EFFECTS.items()}
    return [
        Trial(effect=effect, customers=given.customers, seed=FIRST_SEED + number)
        for effect, count in counts.items()
        for number in range(count)
    ]


def verdicts(asked: Sequence[Trial], *, keep: Path | None, progress: Callable[[str], None]) -> list[Found]:
    """Returns the verdict on each company, those kept in the file `keep` as they stand there; new ones are added to it.

    Raises:
        ValueError: a line of the file is no verdict.
    """
    kept = {_key(told): told for told in _read(keep)}
    found = []
    for number, trial in enumerate(asked, start=1):
        key = _key(trial.to_dict())
        if key not in kept:
            progress(f"company {number} of {len(asked)}: effect {trial.effect}, seed {trial.seed}")
            kept[key] = tried(trial)
            if keep is not None:
                with keep.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(kept[key]) + "\n")
        found.append(kept[key])
    return found


def part_of(found: Sequence[Found], *, customers: int, is_judged: bool) -> Part:
    """Returns how often companies of each effect are promoted, chance beside its target."""
    by_effect = {effect: [one for one in found if one["effect"] == effect] for effect in EFFECTS}
    of_chance = by_effect["none"]
    promoted = sum(one["is_promoted"] for one in of_chance)
    says_so = sum(one["sentence"].endswith("Not promoted.") for one in of_chance if not one["is_promoted"])
    return Part(
        "promotion",
        f"{customers:,} customers over {MONTHS} months, horizon {HORIZON_DAYS} days, the test cutoffs that `churn "
        "train` proposes; effect is how much friction matters to who leaves, beside `retail`",
        [
            Check("promoted where there is no signal", f"{promoted} of {len(of_chance)}",
                  f"at most {MOST_SHARE:.0%}", promoted <= MOST_SHARE * len(of_chance) if is_judged else None),
            Check("of the others, those whose verdict says so", f"{says_so} of {len(of_chance) - promoted}", "all",
                  says_so == len(of_chance) - promoted),
        ],
        ("effect", "companies", "AUROC of the model", "beyond the best rule: mean (spread)", "promoted, 95 %"),
        [_row(effect, some) for effect, some in by_effect.items() if some],
        ["The spread is the standard deviation over companies; the interval of a share is the exact one."],
    )  # fmt: skip


def _row(effect: str, found: Sequence[Found]) -> tuple[str, ...]:
    beyond = [one["difference"]["mean"] for one in found]
    spread = statistics.stdev(beyond) if len(beyond) > 1 else 0.0
    promoted = sum(one["is_promoted"] for one in found)
    edges = binomtest(promoted, len(found)).proportion_ci(method="exact")
    return (
        f"{effect} ({EFFECTS[effect]:g})", f"{len(found)}", f"{statistics.mean(one['auroc'] for one in found):.3f}",
        f"{statistics.mean(beyond):+.3f} ({spread:.3f})",
        f"{promoted} of {len(found)}: {promoted / len(found):.0%} [{edges.low:.0%}, {edges.high:.0%}]",
    )  # fmt: skip


def _key(told: Found) -> tuple[str, int, int]:
    return str(told["effect"]), int(told["customers"]), int(told["seed"])


def _read(file: Path | None) -> list[Found]:
    if file is None or not file.is_file():
        return []
    try:
        found = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        return found if all(_key(one) for one in found) else []
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{file} holds a line that is no verdict of this benchmark; name another file") from error


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} companies of each effect; nothing is judged")
    parser.add_argument("--seeds", type=int, help=f"so many companies without a signal; default {SEEDS}")
    parser.add_argument("--power", type=int, help=f"so many of each effect; default {POWER_SEEDS}")
    parser.add_argument("--customers", type=int, default=CUSTOMERS, help=f"of each; default {CUSTOMERS:,}")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="keep verdicts there, and take those that are there")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args(arguments)
    given.seeds = given.seeds or (QUICK if given.quick else SEEDS)
    given.power = given.power or (QUICK if given.quick else POWER_SEEDS)
    return given


if __name__ == "__main__":
    sys.exit(main())
