"""The command line as a user meets it: help, exit codes, what goes to stdout and what to stderr, interruptions."""

from __future__ import annotations

import json
import re
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from made_project import Project, command, environment, run, run_apart

from churn.terminal import Terminal, visible

COMMANDS = ("init", "simulate", "demo", "check", "train", "score", "why", "report", "ui")
NEED_CONFIG = (("check",), ("train",), ("score", "--out", "s.csv"), ("why", "C1"), ("report",), ("ui",))
HEAVY = ("numpy", "pandas", "pyarrow", "duckdb", "pydantic", "lightgbm", "sklearn", "mlflow", "shap", "matplotlib")
PROGRESS = re.compile(r"\[ *\d+\.\d s\] \S.*")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_shows_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = run(capsys, name, "--help")
    assert told.code == 0
    assert f"Example: churn {name}" in told.out


def test_help_names_every_command_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    told = run(capsys, "--help")
    assert all(re.search(rf"^  {name} ", told.out, re.MULTILINE) for name in COMMANDS)
    assert not re.search(r"\.\.\.$", told.out.partition("Commands:")[2], re.MULTILINE), "a description is cut off"
    assert all(code in told.out for code in ("0 done", "1 a gate", "2 input", "3 fault", "130", "143"))


def test_help_takes_less_than_300_ms_and_imports_nothing_heavy() -> None:
    used = _child_seconds()
    asked = f"import sys; sys.argv = ['churn', '--help']\ntry:\n    from churn.cli import main; main()\nfinally:\n    print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"  # noqa: E501
    done = subprocess.run([sys.executable, "-c", asked], env=environment(), capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"
    assert _child_seconds() - used < 0.3, "processor time, so that a busy machine doesn't count"


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert re.fullmatch(r"churn \d+\.\d+\.\d+\n", run(capsys, "--version").out)


@pytest.mark.parametrize("words", NEED_CONFIG, ids=lambda words: words[0])
def test_in_an_empty_folder_each_command_says_how_to_begin(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    told = run(capsys, *words)
    assert (told.code, told.out) == (2, "")
    assert told.err == "error: churn.toml does not exist; write one with: churn init . --from DIR\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("scroe",), "Did you mean 'score'?"),
        (("score",), "say where the scores go: --out FILE, or --to-database"),
        (("score", "--out", "s.csv", "--frob"), "No such option: --frob"),
        (("ui", "--port", "0"), "greater than or equal to 1"),
        (("simulate", "shop", "--customers", "many"), "--customers"),
    ],
)
def test_misspelt_commands_and_options_are_named(
    words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told = run(capsys, *words)
    assert (told.code, told.out) == (2, "")
    assert message in told.err
    assert "Usage: churn" in told.err


def test_json_is_one_object_on_stdout_and_progress_goes_to_stderr(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    told = run(capsys, "check", "--config", str(project.config), "--json")
    assert (told.code, told.json["schema"], told.json["is_usable"]) == (0, 1, True)
    assert told.out.count("\n") == 1
    assert all(PROGRESS.fullmatch(line) for line in told.err.splitlines())
    assert told.err


def test_quiet_keeps_the_result_and_drops_the_progress(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    told = run(capsys, "check", "--config", str(project.config), "--quiet")
    assert (told.code, told.err) == (0, "")
    assert "Enough for a model?  yes" in told.out


def test_with_json_an_error_leaves_stdout_empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = run(capsys, "check", "--config", str(tmp_path / "none.toml"), "--json", "--quiet")
    assert (told.code, told.out) == (2, "")
    assert told.err.startswith("error: ")


def test_the_commands_to_try_next_name_the_configuration(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    told = run(capsys, "check", "--config", str(project.config), "--quiet")
    assert f"train --config {project.config}" in told.out


def test_a_fault_of_ours_is_owned_without_a_traceback_or_a_cell(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("churn.jobs.check.shape_of", _fail)
    monkeypatch.delenv("CHURN_DEBUG", raising=False)
    told = run(capsys, "check", "--config", str(project.config), "--quiet")
    assert (told.code, told.out) == (3, "")
    assert told.err == "error: this is a fault of churn, not yours (KeyError); CHURN_DEBUG=1 shows where\n"
    monkeypatch.setenv("CHURN_DEBUG", "1")
    told = run(capsys, "check", "--config", str(project.config), "--quiet")
    assert told.code == 3
    assert "Traceback" in told.err


def _fail(_: object) -> None:
    raise KeyError("anna@example.org")


def test_memory_that_runs_out_is_no_fault_of_ours(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("churn.jobs.check.shape_of", full)
    told = run(capsys, "check", "--config", str(project.config), "--quiet")
    assert told.code == 2
    assert "memory_limit" in told.err


@pytest.mark.parametrize(("signalled", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_command_says_so_and_ends_with_its_code(
    tmp_path: Path, signalled: signal.Signals, code: int
) -> None:
    words = command("simulate", str(tmp_path / "shop"), "--customers", "20000", "--months", "36")
    with subprocess.Popen(words, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        assert "simulating" in child.stderr.readline()
        child.send_signal(signalled)
        out, err = child.communicate(timeout=60)
    assert (child.returncode, out) == (code, "")
    assert "run the same command again" in err
    assert "Traceback" not in err
    assert not (tmp_path / "shop" / "churn.toml").exists()


def test_a_reader_who_has_seen_enough_changes_nothing(tmp_path: Path) -> None:
    words = command("simulate", str(tmp_path), "--customers", "9", "--months", "2", "--quiet")
    with subprocess.Popen(words, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        child.stdout.close()
        _, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (0, "")
    assert (tmp_path / "churn.toml").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_result_that_cannot_be_printed_is_an_error(tmp_path: Path) -> None:
    words = command("simulate", str(tmp_path), "--customers", "9", "--months", "2", "--quiet")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(words, env=environment(), stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == (
        "error: the result cannot be printed: No space left on device; send stdout to another place\n"
    )


def test_a_port_that_is_taken_is_told_at_once(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        told = run(capsys, "ui", "--port", str(port), "--config", str(project.config))
    assert (told.code, told.out) == (2, "")
    assert f"port {port} of 127.0.0.1 cannot be used" in told.err
    assert "choose another: churn ui --port" in told.err


def test_a_terminal_of_few_letters_still_gets_the_result(tmp_path: Path) -> None:
    told = run_apart("check", "--config", str(tmp_path / "Bücher.toml"), env={"PYTHONIOENCODING": "ascii"})
    assert told.code == 2
    assert "B\\xfccher.toml does not exist" in told.err


@pytest.mark.parametrize(
    "cell",
    [
        "\x1b[31mred\x1b[0m",
        "\x1b]0;title\x07",
        "\x9b2J",
        "one\rtwo",
        "a\nb",
        "\u202egnp.exe",
        "\u2066x",
        "\x00",
        "\x7f",
    ],
)
def test_no_cell_commands_the_terminal(cell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert visible(cell).isprintable()
    for is_json in (False, True):
        terminal = Terminal(is_json=is_json, is_quiet=False)
        terminal.progress(cell)
        terminal.show_problems([cell])
        terminal.show_warnings([cell])
        terminal.show_report({"out": cell, "warnings": [cell]})
        printed = capsys.readouterr()
        assert all(line.isprintable() for line in [*printed.out.split("\n"), *printed.err.split("\n")])
    assert json.loads(printed.out)["out"] == cell, "JSON says the same, spelled out"


@pytest.mark.parametrize("cell", ["[red]", "<script>alert(1)</script>", "{{7*7}}", "Zoë 晚点 🙂", "%s {}"])
def test_markup_in_a_cell_is_shown_as_it_is(cell: str, capsys: pytest.CaptureFixture[str]) -> None:
    Terminal(is_json=False, is_quiet=True).show_report({"out": cell, "warnings": []})
    assert capsys.readouterr().out == f"wrote {cell}\n"


def test_hints_are_copied_into_a_shell_as_they_are() -> None:
    terminal = Terminal(is_json=False, is_quiet=True, config=Path("my shop/churn.toml"))
    assert terminal.command("train").endswith(" train --config 'my shop/churn.toml'")
    assert Terminal(is_json=False, is_quiet=True).command("train").endswith(" train")


def _child_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_the_tests_run_this_checkout() -> None:
    where = "import churn; print(churn.__file__)"
    done = subprocess.run([sys.executable, "-c", where], env=environment(), capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()).samefile(Path(__file__).parents[1] / "churn" / "__init__.py")
