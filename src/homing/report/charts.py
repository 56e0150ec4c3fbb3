"""Charts as SVG text, readable on light and dark pages, for wide screens and for phones."""

import io
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

INK = "#7d8590"
COLOURS = {"refined": "#0f8b6d", "geocell": "#3b6fd4", "thumbnail": "#c98a1b", "constant": "#a4527c"}
PALETTE = ("#3b6fd4", "#0f8b6d", "#c98a1b", "#a4527c", "#6a57c2", "#c2573f", "#4c97a8", "#8a8f3a", "#777777")
STYLE = {
    "svg.fonttype": "none", "svg.hashsalt": "homing", "font.family": "sans-serif", "font.size": 10,
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK, "xtick.color": INK, "ytick.color": INK,
    "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False, "axes.grid": True,
    "grid.color": INK, "grid.alpha": 0.25,
}  # fmt: skip


def error_curves(distances: Mapping[str, np.ndarray]) -> str:
    """Share of photos within each distance, a line per readout."""

    def draw(axes) -> None:
        for name, away in distances.items():
            ordered = np.sort(np.maximum(away, 1))
            share = np.arange(1, len(ordered) + 1) / len(ordered)
            axes.step(ordered, 100 * share, where="post", label=name, color=COLOURS.get(name), linewidth=1.8)
        axes.set(xscale="log", xlabel="distance, km", ylabel="photos within, %", ylim=(0, 100), xlim=(1, 20015))
        axes.set_xticks([1, 25, 200, 750, 2500, 10000], ["1", "25", "200", "750", "2,500", "10,000"])
        axes.minorticks_off()
        axes.legend(loc="upper left")

    return _svg(draw, "Share of photos within each distance")


def loss_curves(history: Sequence[Mapping[str, Any]]) -> str:
    """The loss by step, its parts smoothed, and the validation figures' epochs."""
    steps = [entry for entry in history if "loss" in entry]

    def draw(axes) -> None:
        names = [name for name in steps[0] if name.startswith("loss.")]
        names = names if len(names) > 1 else ["loss"]
        for number, name in enumerate(names):
            values = np.array([entry[name] for entry in steps])
            if not values.any():
                continue
            window = max(1, len(values) // 25)
            smooth = np.convolve(
                np.pad(values, (window // 2, window - 1 - window // 2), "edge"), np.ones(window) / window, "valid"
            )
            colour = PALETTE[number % len(PALETTE)]
            axes.plot(
                [entry["step"] for entry in steps],
                smooth,
                color=colour,
                linewidth=1.5,
                label=name.removeprefix("loss."),
            )
        axes.set(xlabel="step", ylabel="loss")
        if len(names) > 1:
            axes.legend(ncols=2, fontsize=8)

    return _svg(draw, "Loss by step")


def validation_curve(history: Sequence[Mapping[str, Any]], name: str, label: str) -> str | None:
    """A validation figure by epoch; None where it was not measured."""
    entries = [entry for entry in history if name in entry]
    if not entries:
        return None

    def draw(axes) -> None:
        axes.plot(
            [entry["epoch"] + 1 for entry in entries], [entry[name] for entry in entries], marker="o", color=PALETTE[0]
        )
        axes.set(xlabel="epoch", ylabel=label)
        axes.set_ylim(bottom=0)

    return _svg(draw, f"{label}, by epoch")


def histogram(
    values: np.ndarray,
    label: str,
    log: bool = False,
    counted: str = "photos",
    marks: Mapping[str, float] | None = None,
) -> str:
    """How many have which value; of a logarithmic one, zeros stand at the left end.

    `marks` are one or two upright lines with a name.
    """

    def draw(axes) -> None:
        shown = np.maximum(values, 0.1) if log else values
        ends = np.quantile(shown, [0, 1]) if log else np.quantile(shown, [0.001, 0.999])
        if ends[0] == ends[1]:
            ends = (ends[0] / 2, ends[1] * 2) if log else (ends[0] - 0.5, ends[1] + 0.5)
        edges = np.geomspace(*ends, 49) if log else np.linspace(*ends, 49)
        axes.hist(shown, edges, color=PALETTE[0])
        axes.set(xlabel=label, ylabel=counted, xscale="log" if log else "linear")
        axes.yaxis.set_major_formatter("{x:,.0f}")
        if log:
            axes.xaxis.set_major_formatter("{x:,g}")
            axes.xaxis.set_minor_formatter(LogFormatter(minor_thresholds=(1.5, 0.5)))
        for (name, value), side in zip((marks or {}).items(), ("right", "left"), strict=False):
            axes.axvline(value, color=PALETTE[5], linewidth=1.2, linestyle="--")
            place = {"transform": axes.get_xaxis_transform(), "ha": side, "va": "bottom"}
            axes.text(value, 1.01, f" {name} {value:,g} ", **place)

    return _svg(draw, f"Number of {counted} by {label}")


def bars(counts: Sequence[tuple[str, int]], label: str, across: bool = False) -> str:
    """A bar for each name, upright or across."""

    def draw(axes) -> None:
        names, values = zip(*counts, strict=True)
        if across:
            axes.barh(names, values, color=PALETTE[0])
            axes.xaxis.set_major_formatter("{x:,.0f}")
            axes.tick_params(axis="y", labelsize=7)
            axes.grid(visible=False, axis="y")
        else:
            axes.bar(names, values, color=PALETTE[0])
            axes.yaxis.set_major_formatter("{x:,.0f}")
            axes.tick_params(axis="x", labelsize=7, rotation=90 if len(names) > 12 else 0)
            axes.grid(visible=False, axis="x")
        axes.set(**{"xlabel" if across else "ylabel": label})

    return _svg(draw, f"Bars of {label}")


def _svg(draw, label: str) -> str:
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(5.6, 3.4), layout="constrained")
        draw(figure.add_subplot())
        output = io.StringIO()
        figure.savefig(output, format="svg", transparent=True, metadata={"Date": None})
    text = output.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    # Sizes in points would not shrink on a phone; the viewBox does.
    start = re.match(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', text)
    return f'<svg class="chart" viewBox="{start[1]}" role="img" aria-label="{escape(label)}">{text[start.end() :]}'
