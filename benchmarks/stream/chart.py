"""Chart of streams: CPU per delivery and memory per client. Needs matplotlib."""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt

OURS, OTHERS, BARE = "#1f6f8b", "#b9b4a7", "#dcd8cf"
COLOURS = {"daphne": OURS, "uvicorn": OURS, "uvloop": OURS, "bare": BARE}


def draw(source: Path, target: Path) -> None:
    """Draw the chart of a result file."""
    found = json.loads(source.read_text(encoding="utf-8"))["runs"]
    runs = [run for run in found if run["piece"] == "clients" and run["server"] != "stored"]
    titles = {run["server"]: run["title"].replace("*", "").replace("`", "") for run in runs}
    panels = {"cpu_us_per_delivery": "server CPU per delivery, µs", "kib_per_client": "memory per client, KiB"}
    figure, axes = plt.subplots(1, len(panels), figsize=(13, 0.55 * len(titles) + 1.2), sharey=True)
    for axis, (key, label) in zip(axes, panels.items(), strict=True):
        values = [[run[key] for run in runs if run["server"] == server] for server in titles]
        medians = [statistics.median(each) for each in values]
        less = [median - min(each) for median, each in zip(medians, values, strict=True)]
        more = [max(each) - median for median, each in zip(medians, values, strict=True)]
        colours = [COLOURS.get(server, OTHERS) for server in titles]
        axis.barh(list(titles.values()), medians, xerr=[less, more], color=colours, ecolor="#555", capsize=3)
        for position, median in enumerate(medians):
            axis.annotate(f" {median:.1f}", (median + more[position], position), va="center")
        axis.set_xlabel(label)
        axis.set_xlim(right=max(median + up for median, up in zip(medians, more, strict=True)) * 1.15)
        axis.spines[["top", "right"]].set_visible(False)
    figure.axes[0].invert_yaxis()  # shared by both axes
    figure.suptitle(f"one execution, {runs[0]['clients']:,} clients: lower is better")
    figure.tight_layout()
    figure.savefig(target, dpi=110)


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
