"""Numbers as people read them; what is not known is a dash, never a zero."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from typing import Any, TypeGuard

UNKNOWN = "–"
_MINUS = "−"


def number(value: Any, *, digits: int = 3) -> str:
    """Returns a number with fixed digits and thousands apart.

    >>> number(0.8195), number(-1234.5, digits=0), number(None), number(float("nan"))
    ('0.820', '−1,234', '–', '–')
    """
    if not is_known(value):
        return UNKNOWN
    text = f"{float(value):,.{digits}f}"
    return text.lstrip("-") if float(text.replace(",", "")) == 0 else text.replace("-", _MINUS)


def count(value: Any) -> str:
    """Returns a whole number with thousands apart.

    >>> count(1763), count(None)
    ('1,763', '–')
    """
    return number(value, digits=0)


def counted(value: Any, noun: str) -> str:
    """Returns a whole number with its noun.

    >>> counted(1, "customer"), counted(1200, "customer")
    ('1 customer', '1,200 customers')
    """
    text = count(value)
    return f"{text} {noun}{'' if text == '1' else 's'}"


def percent(share: Any, *, digits: int = 0) -> str:
    """Returns a share as a percentage, the sign after a space that does not break.

    >>> percent(0.862)
    '86\\xa0%'
    """
    return f"{number(100 * share, digits=digits)}\u00a0%" if is_known(share) else UNKNOWN


def money(value: Any, currency: str) -> str:
    """Returns an amount without its cents.

    >>> money(1707.9, "EUR")
    '1,708\\xa0EUR'
    """
    return f"{number(value, digits=0)}\u00a0{currency}" if is_known(value) else UNKNOWN


def signed(value: Any, *, digits: int = 3) -> str:
    """Returns a difference with its sign; one that rounds to nothing has none.

    >>> signed(0.0557), signed(-0.02), signed(-0.0001)
    ('+0.056', '−0.020', '0.000')
    """
    text = number(value, digits=digits)
    is_positive = is_known(value) and round(float(value), digits) > 0
    return f"+{text}" if is_positive else text


def interval(figure: Mapping[str, Any], *, digits: int = 3, is_signed: bool = False) -> str:
    """Returns the interval of a figure, or an empty text where it has none.

    >>> interval({"mean": 0.5, "low": 0.4, "high": 0.6}, digits=1)
    '[0.4, 0.6]'
    """
    low, high = figure.get("low"), figure.get("high")
    if not is_known(low) or not is_known(high):
        return ""
    told = signed if is_signed else number
    return f"[{told(low, digits=digits)}, {told(high, digits=digits)}]"


def is_known(value: Any) -> TypeGuard[float]:
    """Returns whether a value is a finite number, of Python or of NumPy."""
    return isinstance(value, numbers.Real) and math.isfinite(value)
