"""`churn simulate`: a company with known truth on disk, ready to be trained on."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from churn.config import TABLE_NAMES
from churn.errors import OutputError
from churn.simulation.company import simulate as simulate_company
from churn.tables.atomic import write_atomically

_MARK = "simulated with seed"
_ABOUT = {
    "retail": "a retailer", "telecom": "a telecom company with monthly contracts", "marketplace": "a marketplace",
    "hotel": "a hotel, whose guests come a few times a year", "talkative": "a company whose customers speak up",
    "mute": "a company whose customers say nothing", "drifting": "a company that hears less and less",
    "no_signal": "a company where nothing tells who leaves",
}  # fmt: skip


def simulate(
    directory: Path,
    *,
    customers: int,
    months: int,
    regime: str,
    seed: int,
    mechanism: str | None = None,
    vary: bool = False,
    dirty: bool = False,
    oracle: int = 0,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Writes the tables, the truth and a `churn.toml`; returns where they are.

    The arguments are those of `churn.simulation.simulate`; `oracle` is its `oracle_customers`.

    Raises:
        ConfigError: an unknown regime or mechanism.
        OutputError: the folder cannot be written or holds another company.
    """
    config = directory / "churn.toml"
    _refuse_own_project(directory, config)
    progress(f"simulating {customers:,} customers over {months} months ({regime}, seed {seed})")
    if oracle:
        progress(f"and asking the oracle about {oracle:,} of them at every month end: some seconds for each 100")
    paths = simulate_company(
        directory, customers=customers, months=months, regime=regime, seed=seed, mechanism=mechanism, vary=vary,
        dirty=dirty, oracle_customers=oracle, workers=os.cpu_count() or 1,
    )  # fmt: skip
    names = [name for name in paths if not name.startswith("truth_")]
    text = _toml({name: paths[name].name for name in names}, regime, seed)
    write_atomically(config, lambda new: new.write_text(text, encoding="utf-8"))
    return {"directory": str(directory), "config": str(config), "tables": names, "regime": regime, "seed": seed}


def _refuse_own_project(directory: Path, config: Path) -> None:
    """A company is never simulated over a project of the user's own: only over one that was simulated."""
    if config.is_file():
        first = config.read_text(encoding="utf-8", errors="replace").partition("\n")[0]
        is_own = _MARK not in first
    else:
        has_tables = any((directory / f"{name}.{end}").exists() for name in TABLE_NAMES for end in ("parquet", "csv"))
        is_own = has_tables and not (directory / "truth").is_dir()
    if is_own:
        raise OutputError(
            f"{directory} holds a project that was not simulated; name an empty folder: churn simulate DIR"
        )


def _toml(files: dict[str, str], regime: str, seed: int) -> str:
    lines = [
        f"# {_ABOUT.get(regime, 'a company')}, {_MARK} {seed}: nothing in it is real",
        'currency = "EUR"', "", "[contact]", "budget = 200        # customers we can call per list",
        "cost = 5.0          # of one call", "success_rate = 0.2  # of the leavers we call, so many stay", "",
    ]  # fmt: skip
    if "subscriptions" in files:
        lines[1:1] = ['population = "contract"  # who will not renew', "horizon_days = 30"]
    for name, file in files.items():
        lines += [f"[tables.{name}]", f'path = "{file}"']
        if name == "customers":
            lines += [
                'attributes = { region = "static", segment = "static", home_store = "static" }',
                'sensitive = ["age_band"]  # never a feature',
            ]
        lines.append("")
    return "\n".join(lines)
