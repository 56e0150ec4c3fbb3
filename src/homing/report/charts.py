"""Charts as SVG text, readable on light and dark pages, for wide screens and for phones."""

import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

INK = "#7d8590"  # stands for the colour of the page's text, see _svg
DASHES = ("-", "--", "-.", ":")  # with the colours, so that lines are told apart without them
COLOURS = {"refined": "#0f8b6d", "classifier": "#3b6fd4", "thumbnail": "#c98a1b", "constant": "#a4527c"}
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
        for number, (name, away) in enumerate(distances.items()):
            ordered = np.sort(np.maximum(away, 1))
            share = np.arange(1, len(ordered) + 1) / len(ordered)
            axes.step(ordered, 100 * share, where="post", label=name, color=COLOURS.get(name),
                      linewidth=1.8, linestyle=DASHES[number % len(DASHES)])  # fmt: skip
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
            values = np.array([entry[name] for entry in steps], dtype=float)  # null, not finite: a gap
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
                linestyle=DASHES[number % len(DASHES)],
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
        values = np.array([entry[name] for entry in entries], dtype=float)  # null, not finite: a gap
        axes.plot([entry["epoch"] + 1 for entry in entries], values, marker="o", color=PALETTE[0])
        axes.set(xlabel="epoch", ylabel=label)
        axes.set_ylim(bottom=0)

    return _svg(draw, f"{label}, by epoch")


def speed_curves(histories: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Photos per second of each stage by the share of its steps, and how much of the time it waited for data."""

    def draw(axes) -> None:
        for number, (stage, history) in enumerate(histories.items()):
            rows = [entry for entry in history if "photos_per_second" in entry]
            done = np.array([entry["step"] for entry in rows]) / rows[-1]["step"]
            waited = 100 * np.mean([entry["waiting_share"] for entry in rows])
            label = f"{stage}: {waited:.1f} % of the time waiting for data"
            axes.plot(100 * done, [entry["photos_per_second"] for entry in rows], color=PALETTE[number],
                      linestyle=DASHES[number], label=label)  # fmt: skip
        axes.set(xlabel="steps done, %", ylabel="photos per second")
        axes.set_ylim(bottom=0)
        axes.legend(loc="lower right", fontsize=8)

    return _svg(draw, "photos per second while training")


def reliability(stated: Sequence[float], true: Sequence[float], photos: Sequence[int], label: str) -> str:
    """What was stated against what came true, a dot per bin as large as its photos are many, beside the diagonal."""

    def draw(axes) -> None:
        axes.plot([0, 100], [0, 100], color=INK, linestyle="--", linewidth=1)
        sizes = 12 + 160 * np.asarray(photos) / max(photos)
        axes.plot(100 * np.asarray(stated), 100 * np.asarray(true), color=PALETTE[0], linewidth=1, alpha=0.6)
        axes.scatter(100 * np.asarray(stated), 100 * np.asarray(true), sizes, color=PALETTE[0], alpha=0.8, linewidth=0)
        axes.set(xlabel="stated, %", ylabel="came true, %", xlim=(-3, 103), ylim=(-3, 103), aspect="equal")
        axes.set_xticks([0, 50, 100])
        axes.set_yticks([0, 50, 100])

    return _svg(draw, label, (2.7, 2.6))


def risk_curve(share: Sequence[float], risk_km: Sequence[float]) -> str:
    """Mean error of the most confident answers by the share that is answered."""

    def draw(axes) -> None:
        axes.plot(100 * np.asarray(share), risk_km, marker="o", color=PALETTE[0], label="the most confident of them")
        axes.axhline(risk_km[-1], color=INK, linestyle="--", linewidth=1, label="all answers")
        axes.set(xlabel="photos answered, %", ylabel="mean error, km", xlim=(0, 103))
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.set_ylim(bottom=0)
        axes.legend(loc="lower right")

    return _svg(draw, "Mean error of the most confident answers, by the share of photos that is answered")


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


def _svg(draw, label: str, inches: tuple[float, float] = (5.0, 3.2)) -> str:
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=inches, layout="constrained")
        draw(figure.add_subplot())
        output = io.StringIO()
        figure.savefig(output, format="svg", transparent=True, metadata={"Date": None})
    text = output.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = text.replace(INK, "currentColor")  # of the page, light or dark
    text = _own_names(text)
    # Sizes in points would not shrink on a phone; the viewBox does.
    start = re.match(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', text)
    return f'<svg class="chart" viewBox="{start[1]}" role="img" aria-label="{escape(label)}">{text[start.end() :]}'


def _own_names(svg: str) -> str:
    """The drawing with ids that no other drawing of a page has, and only those that it refers to."""
    referred = re.compile(r'(url\(#|href="#)([^)"]+)')
    used = {name for _, name in referred.findall(svg)}
    own = f"c{hashlib.sha256(svg.encode()).hexdigest()[:8]}-"
    svg = re.sub(r' id="([^"]*)"', lambda found: f' id="{own}{found[1]}"' if found[1] in used else "", svg)
    return referred.sub(rf"\g<1>{own}\g<2>", svg)
