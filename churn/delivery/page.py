"""The page: one self-contained HTML file that tells an analyst and her boss what a model is worth.

The template shows what `story` and `listed` say and decides nothing. The page loads nothing from anywhere: pictures are
inside, there is no script, and its content security policy forbids both.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from churn.delivery import story
from churn.delivery.believed import believed
from churn.delivery.listed import list_summary
from churn.delivery.unsaid import unsaid
from churn.delivery.wording import number

if TYPE_CHECKING:
    import pandas as pd

_TEMPLATE = "page.html.jinja"
_SEVERITIES = ("error", "warning", "info")
_PNG = b"\x89PNG\r\n\x1a\n"


def report_page(
    result: Mapping[str, Any], *, plots: Mapping[str, bytes], scores: pd.DataFrame | None = None, currency: str = "EUR"
) -> str:
    """Returns the report of a training run, and of a scored list if given, as one HTML page without personal data.

    The same input gives the same page: neither clock nor run id nor path is in it. Every text from outside is escaped.

    Args:
        result: the result of the run, as `churn train --json` prints it.
        plots: PNG pictures by name, as `plots.draw` makes them; the page shows those it knows, in its own order.
        scores: a scored list; only its sums are shown.
        currency: of amounts.

    Raises:
        ValueError: a picture is no PNG.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("churn.delivery", ""), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    template = environment.get_template(_TEMPLATE)
    page: str = template.render(
        **_content(result, scores, currency), pictures={name: _uri(png) for name, png in plots.items()}
    )
    return page


def _content(result: Mapping[str, Any], scores: pd.DataFrame | None, currency: str) -> dict[str, Any]:
    """Returns everything the template shows, as texts and tables of texts."""
    return {
        "project": result["project"],
        "model_id": result["model_id"],
        "cutoffs": result["cutoffs"],
        "horizon_days": result["target"]["horizon_days"],
        "verdict": story.verdict(result),
        "tiles": story.tiles(result, currency=currency),
        "answer": story.answer(result, currency=currency),
        "listed": None if scores is None else list_summary(scores, currency=currency),
        "comparison": {**story.comparison(result), "sentence": story.comparison_sentence(result)},
        "silent_comparison": {
            **story.comparison(result, silent=True), "sentence": story.comparison_sentence(result, silent=True),
        },
        "silence_sentence": story.silence_sentence(result),
        "voices": story.voices(result),
        "additions": story.additions(result),
        "unsaid": unsaid(result),
        "drivers": _drivers(result),
        "calibration_sentence": story.calibration_sentence(result),
        "believed": believed(result),
        "lead_sentence": story.lead_sentence(result),
        "left_out": story.left_out(result),
        "definition": story.definition(result),
        "horizons": story.horizons(result),
        "findings": _findings(result),
        "notes": result.get("notes", []),
    }  # fmt: skip


def _drivers(result: Mapping[str, Any]) -> dict[str, Any]:
    rows = [
        {
            "title": row["signal"],
            "cells": [{"value": number(row["mean_abs"])}, {"value": number(100 * row["share"], digits=0)}],
        }
        for row in result["drivers"]
    ]
    return {"first": "Signal", "columns": ["Mean push (log-odds)", "Share of all (%)"], "rows": rows}


def _findings(result: Mapping[str, Any]) -> list[dict[str, str]]:
    """Returns the findings of the data check, the gravest first."""
    order = {severity: place for place, severity in enumerate(_SEVERITIES)}
    ranked = sorted(result["findings"], key=lambda finding: order.get(finding["severity"], len(order)))
    return [
        {
            "severity": finding["severity"],
            "place": ".".join(str(finding[part]) for part in ("table", "column") if finding.get(part)),
            "message": finding["message"],
            "rows": _first_rows(finding),
            "fix": finding.get("fix", ""),
        }
        for finding in ranked
    ]


def _first_rows(finding: Mapping[str, Any]) -> str:
    rows = finding.get("rows") or []
    more = ", …" if rows and finding.get("count", 0) > len(rows) else ""
    return f"rows {', '.join(map(str, rows))}{more}" if rows else ""


def _uri(png: bytes) -> str:
    if not png.startswith(_PNG):
        raise ValueError("a picture for the page must be PNG")
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
