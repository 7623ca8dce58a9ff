"""Chart of a comparison: steps per second of each system and workload. Needs matplotlib."""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt

OURS, OTHERS, BARE = "#1f6f8b", "#b9b4a7", "#dcd8cf"


def draw(source: Path, target: Path) -> None:
    """Draw the chart of a result file."""
    runs = json.loads(source.read_text(encoding="utf-8"))["runs"]
    sizes = list(dict.fromkeys((run["executions"], run["steps"]) for run in runs))
    systems = {run["system"]: run["title"].replace("*", "") for run in runs}
    figure, axes = plt.subplots(1, len(sizes), figsize=(6.5 * len(sizes), 0.55 * len(systems) + 1.2), sharey=True)
    for axis, size in zip([axes] if len(sizes) == 1 else axes, sizes, strict=True):
        speeds = {
            key: [
                run["executions"] * run["steps"] / run["seconds"]
                for run in runs
                if run["system"] == key and (run["executions"], run["steps"]) == size
            ]
            for key in systems
        }
        medians = [statistics.median(each) for each in speeds.values()]
        spread = [
            [median - min(each) for median, each in zip(medians, speeds.values(), strict=True)],
            [max(each) - median for median, each in zip(medians, speeds.values(), strict=True)],
        ]
        colours = [
            OURS if key in {"queue", "direct", "journal"} else BARE if key == "pgbench" else OTHERS for key in systems
        ]
        axis.barh(list(systems.values()), medians, xerr=spread, color=colours, ecolor="#555", capsize=3)
        for position, median in enumerate(medians):
            axis.annotate(f" {median:,.0f}", (median + spread[1][position], position), va="center")
        axis.set_title(f"{size[0]} executions × {size[1]} steps, 20 in flight")
        axis.set_xlabel("durable steps per second")
        axis.set_xlim(right=max(median + more for median, more in zip(medians, spread[1], strict=True)) * 1.2)
        axis.spines[["top", "right"]].set_visible(False)
    figure.axes[0].invert_yaxis()  # shared by all axes
    figure.tight_layout()
    figure.savefig(target, dpi=110)


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
