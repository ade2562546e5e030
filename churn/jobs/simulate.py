"""`churn simulate`: a company with known truth on disk, ready to be trained on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from churn.config import TABLE_NAMES
from churn.errors import OutputError
from churn.simulation.company import simulate as simulate_company
from churn.tables.atomic import write_atomically

_MARK = "simulated with seed"
_ABOUT = {
    "retail": "a retailer", "telecom": "a telecom company with monthly contracts",
    "mute": "a company whose customers say nothing",
    "no_signal": "a company where nothing tells who leaves",
}  # fmt: skip


def simulate(
    directory: Path,
    *,
    customers: int,
    months: int,
    regime: str,
    seed: int,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Writes the tables, the truth and a `churn.toml`; returns where they are.

    Raises:
        ConfigError: an unknown regime.
        OutputError: the folder cannot be written or holds another company.
    """
    config = directory / "churn.toml"
    _refuse_own_project(directory, config)
    progress(f"simulating {customers:,} customers over {months} months ({regime}, seed {seed})")
    paths = simulate_company(directory, customers=customers, months=months, regime=regime, seed=seed)
    names = [name for name in paths if not name.startswith("truth_")]
    text = _toml(names, regime, seed)
    write_atomically(config, lambda new: new.write_text(text, encoding="utf-8"))
    return {"directory": str(directory), "config": str(config), "tables": names, "regime": regime, "seed": seed}


def _refuse_own_project(directory: Path, config: Path) -> None:
    """A company is never simulated over a project of the user's own: only over one that was simulated."""
    if config.is_file():
        first = config.read_text(encoding="utf-8", errors="replace").partition("\n")[0]
        is_own = _MARK not in first
    else:
        has_tables = any((directory / f"{name}.parquet").exists() for name in TABLE_NAMES)
        is_own = has_tables and not (directory / "truth").is_dir()
    if is_own:
        raise OutputError(
            f"{directory} holds a project that was not simulated; name an empty folder: churn simulate DIR"
        )


def _toml(names: list[str], regime: str, seed: int) -> str:
    lines = [
        f"# {_ABOUT.get(regime, 'a company')}, {_MARK} {seed}: nothing in it is real",
        'currency = "EUR"', "", "[contact]", "budget = 200        # customers we can call per list",
        "cost = 5.0          # of one call", "success_rate = 0.2  # of the leavers we call, so many stay", "",
    ]  # fmt: skip
    if "subscriptions" in names:
        lines[1:1] = ['population = "contract"  # who will not renew', "horizon_days = 30"]
    for name in names:
        lines += [f"[tables.{name}]", f'path = "{name}.parquet"']
        if name == "customers":
            lines += [
                'attributes = { region = "static", segment = "static" }',
                'sensitive = ["age_band"]  # never a feature',
            ]
        lines.append("")
    return "\n".join(lines)
