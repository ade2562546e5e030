"""The friction stock: what went wrong and is not yet forgotten, per customer and kind of incident."""

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from churn.simulation.arrays import Floats, Ints, Rows, ints, pick, spread, stack
from churn.simulation.calendar import DAY
from churn.simulation.regimes import Regime


@dataclass
class Friction:
    """Friction units by (kind, customer); effects are announced ahead and take place on their day."""

    stock: Floats
    agenda: dict[int, list[Rows]] = field(default_factory=dict)

    def announce(self, *, customer: Ints, kind: Ints, second: Ints, raised: Floats, kept: Floats) -> None:
        """Schedules `stock = (stock + raised) * kept` on the days of `second`."""
        if not len(customer):
            return
        day = second // DAY
        order = np.argsort(day, kind="stable")
        rows: Rows = {"customer": customer, "kind": kind, "raised": raised, "kept": kept}
        days = day[order]
        edges = [0, *(np.flatnonzero(days[1:] != days[:-1]) + 1).tolist(), len(days)]
        for first, last in pairwise(edges):
            self.agenda.setdefault(int(days[first]), []).append(pick(rows, order[first:last]))

    def pass_day(self, day: int, *, half_life_days: float) -> Rows:
        """Lets a day's forgetting and then its announced effects take place, and returns the effects."""
        self.stock *= 0.5 ** (1.0 / half_life_days)
        rows = stack([_NOTHING, *self.agenda.pop(day, [])])
        cell = (ints(rows["kind"]), ints(rows["customer"]))
        np.add.at(self.stock, cell, rows["raised"])
        np.multiply.at(self.stock, cell, rows["kept"])
        return rows

    def total(self) -> Floats:
        """Friction per customer, summed over the kinds; shape (customers,)."""
        total: Floats = self.stock.sum(axis=0)
        return total

    def clones(self, who: Ints) -> "Friction":
        """The friction of copies of these customers: copy j is of customer `who[j]`, and several may be of one."""
        agenda = {day: [spread(stack(parts), who=who)] for day, parts in self.agenda.items()}
        return Friction(stock=self.stock[:, who], agenda=agenda)


_NOTHING: Rows = {
    "customer": np.empty(0, dtype=np.int64), "kind": np.empty(0, dtype=np.int64), "raised": np.empty(0),
    "kept": np.empty(0),
}  # fmt: skip


def no_friction(regime: Regime, *, customers: int) -> Friction:
    """Returns the stock of customers to whom nothing has happened."""
    return Friction(stock=np.zeros((len(regime.kinds), customers)))
