"""The figures of one engine: a table for the terminal, JSON and a chart (PNG) for later."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# A line's median and 95th percentile, each beside its floor's.
_PANEL_INCHES = 0.75
_DOTS_PER_INCH = 110
_COLORS = {"p50": "#2a6f97", "p95": "#a9d6e5", "floor p50": "#bdbdbd"}


@dataclass(frozen=True)
class Measurement:
    """A line of the report, in milliseconds; the goal is in words, the note a ratio or a count."""

    name: str
    p50: float
    p95: float | None
    floor_p50: float | None
    note: str
    goal: str


class Report:
    def __init__(self, title: str) -> None:
        self._title = title
        self._measurements: list[Measurement] = []
        self._memory: list[tuple[float, float]] = []

    def add_comparison(
        self, name: str, figures: list[float], floor: list[float], goal: str
    ) -> None:
        """Adds figures beside those of the floor, in milliseconds, and their ratio."""
        p50, floor_p50 = statistics.median(figures), statistics.median(floor)
        ratio = f"{p50 / floor_p50:.2f} ×"  # noqa: RUF001
        self._measurements.append(
            Measurement(name, p50, _compute_p95(figures), floor_p50, ratio, goal)
        )

    def add_series(self, name: str, figures: list[float], goal: str, note: str = "") -> None:
        """Adds figures that have no floor, in milliseconds."""
        self._measurements.append(
            Measurement(name, statistics.median(figures), _compute_p95(figures), None, note, goal)
        )

    def add_figure(self, name: str, figure: float, goal: str, note: str = "") -> None:
        """Adds a single figure, in milliseconds unless its name says otherwise."""
        self._measurements.append(Measurement(name, figure, None, None, note, goal))

    def add_memory(self, samples: list[tuple[float, float]]) -> None:
        """Adds pairs of seconds and megabytes, measured while the load was held."""
        self._memory = samples

    def show(self) -> None:
        """Prints the table."""
        table = Table("", "p50 ms", "p95 ms", "floor p50 ms", "", "goal", title=self._title)
        for line in self._measurements:
            cells = (
                "" if ms is None else f"{ms:.1f}" for ms in (line.p50, line.p95, line.floor_p50)
            )
            table.add_row(line.name, *cells, line.note, line.goal)
        Console(width=110).print(table)

    def write(self, folder: Path) -> list[Path]:
        """Writes ``<title>.json`` and ``<title>.png`` anew, and returns their paths."""
        folder.mkdir(parents=True, exist_ok=True)
        numbers, chart = (
            folder / f"{self._title.replace(' ', '-')}.{kind}" for kind in ("json", "png")
        )
        data = {"lines": [asdict(one) for one in self._measurements], "memory": self._memory}
        numbers.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
        self._draw(chart)
        return [numbers, chart]

    def _draw(self, path: Path) -> None:
        # Slow to import, and not needed before there is something to draw.
        import matplotlib as mpl

        mpl.use("Agg")
        from matplotlib import pyplot

        lines = [line for line in self._measurements if line.p95 is not None]
        panels = 2 if self._memory else 1
        height = 1.2 + _PANEL_INCHES * len(lines) + (3 if self._memory else 0)
        figure, axes = pyplot.subplots(
            panels,
            figsize=(9, height),
            height_ratios=[_PANEL_INCHES * len(lines) + 0.6, 3][:panels],
            squeeze=False,
            layout="constrained",
        )
        _draw_times(axes[0][0], lines, self._title)
        if self._memory:
            _draw_memory(axes[1][0], self._memory)
        figure.savefig(path, dpi=_DOTS_PER_INCH)
        pyplot.close(figure)


def _compute_p95(figures: list[float]) -> float:
    return statistics.quantiles(figures, n=20)[-1] if len(figures) > 1 else figures[0]


def _draw_times(axes: Axes, lines: list[Measurement], title: str) -> None:
    bars = {
        "p50": [line.p50 for line in lines],
        "p95": [line.p95 or 0.0 for line in lines],
        "floor p50": [line.floor_p50 or 0.0 for line in lines],
    }
    for offset, (label, values) in enumerate(bars.items()):
        places = [row + 0.27 * (offset - 1) for row in range(len(lines))]
        drawn = axes.barh(places, values, 0.25, label=label, color=_COLORS[label])
        axes.bar_label(drawn, [f"{ms:.1f}" if ms else "" for ms in values], padding=2, fontsize=8)
    axes.set_yticks(range(len(lines)), [line.name for line in lines])
    axes.invert_yaxis()
    axes.set_xlabel("milliseconds")
    axes.set_title(f"plldb on {title}")
    axes.margins(x=0.1)
    axes.legend(loc="lower right", fontsize=8)


def _draw_memory(axes: Axes, samples: list[tuple[float, float]]) -> None:
    axes.plot([s for s, _ in samples], [mb for _, mb in samples], color=_COLORS["p50"])
    axes.set_ylim(0, 1.2 * max(mb for _, mb in samples))
    axes.set_xlabel("seconds with all sessions held open")
    axes.set_ylabel("MB resident, with workers")
    axes.set_title("memory of the emulator")
