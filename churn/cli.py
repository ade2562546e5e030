"""The command line: each command reads its options, calls the job of its name, and prints what came of it."""

from __future__ import annotations

import logging
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from churn import __version__
from churn.terminal import CONFIG_FILE, Terminal

if TYPE_CHECKING:
    from churn.config import Config

_EPILOG = """\b
First look:  churn demo
Own data:    churn init --from DIR
             churn check
             churn train
             churn score --out scores.csv
Exit codes:  0 done, 1 a gate said no, 2 input unusable, 3 fault of churn, 130 and 143 interrupted
"""
app = typer.Typer(
    name="churn", no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False,
    help="Predicts silent churn: who drifts away without complaining, and why.", epilog=_EPILOG,
)  # fmt: skip

ConfigFile = Annotated[Path, typer.Option("--config", "-c", help="The project's configuration.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, all else on stderr.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors, warnings and the result only.")]
BundleDir = Annotated[Path | None, typer.Option("--bundle", help="A bundle's folder; default: the champion.")]
At = Annotated[
    str | None,
    typer.Option("--at", help="Moment of prediction, such as 2025-03-01; default: the day after the last activity."),
]
INTERRUPTED, TERMINATED, BUG = 130, 143, 3


@app.command(short_help="Write a commented churn.toml.", epilog="Example: churn init shop --from exports/")
def init(
    directory: Annotated[Path, typer.Argument(help="Where churn.toml is written.")] = Path(),
    source: Annotated[Path | None, typer.Option("--from", help="A folder of files to guess the mapping from.")] = None,
    json: Json = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """Write a commented churn.toml; --from DIR guesses which file is which table and which column is which."""
    with _shown(json, quiet) as terminal:
        from churn.jobs.init import init as job

        terminal.show_init(job(directory, source=source))


@app.command(
    short_help="Write a company with known truth.",
    epilog="Example: churn simulate company --customers 5000 --months 24 --seed 7",
)
def simulate(
    directory: Annotated[Path, typer.Argument(help="Where the tables and churn.toml are written.")],
    customers: Annotated[int, typer.Option(min=1, help="How many customers.")] = 5000,
    months: Annotated[int, typer.Option(min=1, help="How many months.")] = 24,
    regime: Annotated[
        str, typer.Option(help="retail, telecom, marketplace, hotel, talkative, mute, no_signal or drifting.")
    ] = "retail",
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same company.")] = 7,
    mechanism: Annotated[
        str | None, typer.Option(help="How customers come to leave: hazard (usual) or hidden_states.")
    ] = None,
    vary: Annotated[bool, typer.Option("--vary", help="Draw the company's parameters anew for every seed.")] = False,
    dirty: Annotated[bool, typer.Option("--dirty", help="CSV files with messy rows, to see what check says.")] = False,
    oracle: Annotated[
        int, typer.Option(min=0, help="For so many customers, also how likely each outcome really was; slow.")
    ] = 0,
    json: Json = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """Write a company with known truth: tables, churn.toml, and who really leaves and why."""
    with _shown(json, quiet) as terminal:
        from churn.jobs.simulate import simulate as job

        terminal.show_simulation(job(
            directory, customers=customers, months=months, regime=regime, seed=seed, mechanism=mechanism, vary=vary,
            dirty=dirty, oracle=oracle, progress=terminal.progress,
        ))  # fmt: skip


@app.command(short_help="The main job on a simulated company.", epilog="Example: churn demo demo")
def demo(
    directory: Annotated[Path, typer.Argument(help="Where everything is written.")] = Path("churn-demo"),
    customers: Annotated[int, typer.Option(min=1, help="How many customers to simulate.")] = 4000,
    json: Json = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """Simulate a company, check, train, score and report: the main job in one command."""
    with _shown(json, quiet) as terminal:
        terminal.progress("starting")
        from churn.jobs.demo import demo as job

        terminal.show_demo(job(directory, customers=customers, progress=terminal.progress))


@app.command(
    short_help="Say whether the data can carry a model.", epilog="Example: churn check --config shop/churn.toml"
)
def check(config: ConfigFile = CONFIG_FILE, json: Json = False, quiet: Quiet = False) -> None:
    """Say whether the data can carry a model: findings with their fix, history, leavers, who can be heard."""
    with _shown(json, quiet, config) as terminal:
        settings = _config(config, terminal)
        from churn.jobs.check import check as job

        terminal.show_check(job(settings, progress=terminal.progress))


@app.command(short_help="Backtest, train, and track in MLflow.", epilog="Example: churn train --tune 40")
def train(
    config: ConfigFile = CONFIG_FILE,
    allow_leak: Annotated[
        bool, typer.Option("--allow-leak", help="Train and promote although signals know too much.")
    ] = False,
    tune: Annotated[
        int | None,
        typer.Option(
            min=2, metavar="N",
            help="Try N settings of the trees before the first test cutoff, and keep the best where it beats the usual "
            "ones by more than chance; needs silent-churn[tune].",
        ),
    ] = None,
    json: Json = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """Backtest, train the final model, and track everything in MLflow."""
    with _shown(json, quiet, config) as terminal:
        settings = _config(config, terminal)
        from churn.jobs.train import train as job

        terminal.show_training(job(settings, allow_leak=allow_leak, trials=tune, progress=terminal.progress))


@app.command(
    short_help="Score everybody or a list of customers.",
    epilog="Example: churn score --out scores.csv --customers list.csv --at 2025-03-01 --reasons top:500",
)
def score(
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write: .parquet, .csv, .jsonl or .xlsx.")
    ] = None,
    to_database: Annotated[
        bool, typer.Option("--to-database", help="Write to the table that [output] in churn.toml names.")
    ] = False,
    customers: Annotated[Path | None, typer.Option(help="A text or CSV file with the ids in its first column.")] = None,
    reasons: Annotated[
        str | None,
        typer.Option(help="Who gets reasons: all, top:N by value at risk, above:P; default: the contact budget."),
    ] = None,
    bom: Annotated[bool, typer.Option("--bom", help="Begin a CSV with the mark by which Excel knows UTF-8.")] = False,
    at: At = None, bundle: BundleDir = None, config: ConfigFile = CONFIG_FILE, json: Json = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """Score everybody or a list of customers, each with a probability or the reason why she has none.

    Three reasons in words come with those who are worth a call: the contact budget's customers with the highest value
    at risk, or whom --reasons says. An .xlsx holds them, and a second sheet that explains the columns.
    """
    if out is None and not to_database:
        raise typer.BadParameter("say where the scores go: --out FILE, or --to-database", param_hint="--out")
    with _shown(json, quiet, config) as terminal:
        settings = _config(config, terminal)
        from churn.jobs.explained import explained_from
        from churn.jobs.lists import read_list
        from churn.jobs.moments import moment_from
        from churn.jobs.outputs import check_scores_out
        from churn.jobs.score import score as job

        explained = explained_from(reasons) if reasons is not None else None
        if out is not None:
            check_scores_out(out, config=settings, listed=customers)
        listed = read_list(customers, config=settings) if customers else None
        moment = moment_from(at, settings)
        scored = job(
            settings, out=out, to_database=to_database, has_bom=bom, customers=listed, at=moment, explained=explained,
            bundle=bundle, progress=terminal.progress,
        )  # fmt: skip
        table = settings.output.table if to_database and settings.output else None
        terminal.show_scores(scored, out, table=table, currency=settings.currency)


@app.command(short_help="Explain one customer.", epilog="Example: churn why C000123 --at 2025-03-01")
def why(
    customer_id: Annotated[str, typer.Argument(help="Her id, as in the tables.")],
    at: At = None, bundle: BundleDir = None, config: ConfigFile = CONFIG_FILE, json: Json = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """Explain one customer: her risk, what raises and lowers it, and her timeline."""
    with _shown(json, quiet, config) as terminal:
        settings = _config(config, terminal)
        from churn.jobs.moments import moment_from
        from churn.jobs.why import why as job

        terminal.show_why(
            job(settings, customer_id, at=moment_from(at, settings), bundle=bundle, progress=terminal.progress)
        )


@app.command(
    short_help="Write one HTML page about a model.",
    epilog="Example: churn report --out report.html --scores scores.parquet",
)
def report(
    out: Annotated[Path, typer.Option("--out", "-o", help="The page to write, .html.")] = Path("report.html"),
    scores: Annotated[Path | None, typer.Option(help="A scored list to sum up on the page.")] = None,
    bundle: BundleDir = None, config: ConfigFile = CONFIG_FILE, json: Json = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """Write one self-contained HTML page about a training run and, if given, a scored list."""
    with _shown(json, quiet, config) as terminal:
        settings = _config(config, terminal)
        from churn.jobs.report import report as job

        terminal.show_report(job(settings, out=out, scores=scores, bundle=bundle, progress=terminal.progress))


@app.command(short_help="Open the MLflow UI on 127.0.0.1.", epilog="Example: churn ui --port 5001")
def ui(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on 127.0.0.1.")] = 5000,
    config: ConfigFile = CONFIG_FILE, quiet: Quiet = False,
) -> None:  # fmt: skip
    """Open the MLflow UI over the project's experiments, on 127.0.0.1."""
    with _shown(False, quiet, config) as terminal:
        settings = _config(config, terminal)
        from churn.jobs.ui import ui as job

        job(settings, port=port, progress=terminal.progress)


def _tell_version(is_asked: bool) -> None:
    if is_asked:
        print(f"churn {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_tell_version, is_eager=True)] = False,
) -> None:  # fmt: skip
    """What stands before a command's name."""


def _config(path: Path, terminal: Terminal) -> Config:
    """Reads the configuration first: what is wrong with it is told before the seconds the libraries take to load."""
    from churn.config import load_config

    config = load_config(path)
    terminal.progress("starting")
    return config


@contextmanager
def _shown(json: bool, quiet: bool, config: Path = CONFIG_FILE) -> Iterator[Terminal]:
    """Turns every way a command can end into its exit code and plain words; README.md lists the exit codes."""
    from churn.errors import ChurnError

    terminal = Terminal(is_json=json, is_quiet=quiet, config=config)
    try:
        yield terminal
    except ChurnError as error:
        terminal.show_problems(error.problems)
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        terminal.show_problems(["interrupted; nothing is half-written: run the same command again"])
        raise typer.Exit(INTERRUPTED) from None
    except (typer.Exit, SystemExit):
        raise
    except MemoryError:
        terminal.show_problems(
            ["not enough memory; lower [engine] memory_limit in churn.toml, close other programs, or use less history"]
        )
        raise typer.Exit(2) from None
    except Exception as error:
        if os.environ.get("CHURN_DEBUG"):
            traceback.print_exc()
        terminal.show_problems(
            [f"this is a fault of churn, not yours ({type(error).__name__}); CHURN_DEBUG=1 shows where"]
        )
        raise typer.Exit(BUG) from None


def _terminated(*_: object) -> None:
    print("stopped; nothing is half-written: run the same command again", file=sys.stderr)
    raise SystemExit(TERMINATED)


def _hush() -> None:
    """Keeps the libraries' own warnings and logs off the user's terminal; what matters is said in churn's words."""
    if os.environ.get("CHURN_DEBUG"):
        return
    warnings.simplefilter("ignore")
    # Without a handler Python prints the warnings of any library's log, such as matplotlib's about its font cache.
    logging.getLogger().addHandler(logging.NullHandler())


def main() -> None:
    """The entry point of the `churn` command."""
    signal.signal(signal.SIGTERM, _terminated)
    # Threads that spin while they wait make LightGBM eight times slower when anything else runs (measured): they sleep.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    # Memory comes from the system in ordinary pages: fresh large ones cost a third of the time of signals (measured).
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    os.environ.setdefault("NUMPY_MADVISE_HUGEPAGE", "0")
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    _hush()
    app(prog_name="churn")


if __name__ == "__main__":
    main()
