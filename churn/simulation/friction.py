"""The friction stock: what went wrong and is not yet forgotten, per customer and kind of incident."""

from dataclasses import dataclass, field

import numpy as np

from churn.simulation.arrays import Floats, Ints, Rows, ints, pick, stack
from churn.simulation.calendar import DAY
from churn.simulation.regimes import Regime


@dataclass
class Friction:
    """Friction units by (kind, customer); effects are announced ahead and take place on their day."""

    stock: Floats
    _agenda: dict[int, list[Rows]] = field(default_factory=dict)

    def announce(self, *, customer: Ints, kind: Ints, second: Ints, raised: Floats, kept: Floats) -> None:
        """Schedules `stock = (stock + raised) * kept` on the days of `second`."""
        if not len(customer):
            return
        day = second // DAY
        order = np.argsort(day, kind="stable")
        rows: Rows = {"customer": customer, "kind": kind, "raised": raised, "kept": kept}
        days, firsts = np.unique(day[order], return_index=True)
        for one_day, positions in zip(days.tolist(), np.split(order, firsts[1:]), strict=True):
            self._agenda.setdefault(one_day, []).append(pick(rows, positions))

    def pass_day(self, day: int, *, half_life_days: float) -> None:
        """Lets a day's forgetting and then its announced effects take place."""
        self.stock *= 0.5 ** (1.0 / half_life_days)
        parts = self._agenda.pop(day, [])
        if not parts:
            return
        rows = stack(parts)
        cell = (ints(rows["kind"]), ints(rows["customer"]))
        np.add.at(self.stock, cell, rows["raised"])
        np.multiply.at(self.stock, cell, rows["kept"])

    def total(self) -> Floats:
        """Friction per customer, summed over the kinds; shape (customers,)."""
        total: Floats = self.stock.sum(axis=0)
        return total


def no_friction(regime: Regime, *, customers: int) -> Friction:
    """Returns the stock of customers to whom nothing has happened."""
    return Friction(stock=np.zeros((len(regime.kinds), customers)))
