"""Charts as SVG text that are readable on light and dark pages, on wide screens and on phones."""

import hashlib
import io
import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

INK = "#7d8590"  # placeholder for the text colour of the page, see _svg
DASHES = ("-", "--", "-.", ":")  # beside the colours, for readers who do not see them
COLOURS = {"refined": "#0f8b6d", "classifier": "#3b6fd4", "thumbnail": "#c98a1b", "constant": "#a4527c"}
PALETTE = ("#3b6fd4", "#0f8b6d", "#c98a1b", "#a4527c", "#6a57c2", "#c2573f", "#4c97a8", "#8a8f3a", "#777777")
STYLE: "dict[RcKeyType, object]" = {
    "svg.fonttype": "none", "svg.hashsalt": "homing", "font.family": "sans-serif", "font.size": 10,
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK, "xtick.color": INK, "ytick.color": INK,
    "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False, "axes.grid": True,
    "grid.color": INK, "grid.alpha": 0.25,
}  # fmt: skip


def error_curves(errors_km: Mapping[str, np.ndarray]) -> str:
    """Plot the cumulative distribution of the errors: share of photos within each distance, a line per readout."""

    def draw(axes: Axes) -> None:
        for number, (name, error_km) in enumerate(errors_km.items()):
            ordered = np.sort(np.maximum(error_km, 1))
            share = np.arange(1, len(ordered) + 1) / len(ordered)
            axes.step(ordered, 100 * share, where="post", label=name, color=COLOURS.get(name),
                      linewidth=1.8, linestyle=DASHES[number % len(DASHES)])  # fmt: skip
        axes.set(xscale="log", xlabel="distance, km", ylabel="photos within, %", ylim=(0, 100), xlim=(1, 20015))
        axes.set_xticks([1, 25, 200, 750, 2500, 10000], ["1", "25", "200", "750", "2,500", "10,000"])
        axes.minorticks_off()
        axes.legend(loc="upper left")

    return _svg(draw, "Share of photos within each distance")


def loss_curves(history: Sequence[Mapping[str, Any]]) -> str:
    """Plot the smoothed loss by step, a line for each of its parts where there are several."""
    steps = [entry for entry in history if "loss" in entry]

    def draw(axes: Axes) -> None:
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
    """Plot a validation metric by epoch. Return None if it was not measured."""
    entries = [entry for entry in history if name in entry]
    if not entries:
        return None

    def draw(axes: Axes) -> None:
        values = np.array([entry[name] for entry in entries], dtype=float)  # null (not finite) leaves a gap
        axes.plot([entry["epoch"] + 1 for entry in entries], values, marker="o", color=PALETTE[0])
        axes.set(xlabel="epoch", ylabel=label)
        axes.set_ylim(bottom=0)

    return _svg(draw, f"{label}, by epoch")


def speed_curves(histories: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Plot photos per second by the share of steps done, a line per stage; the legend has the time spent waiting."""

    def draw(axes: Axes) -> None:
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
    """Plot a reliability diagram: stated probability against observed frequency, a dot per bin sized by its photos."""

    def draw(axes: Axes) -> None:
        axes.plot([0, 100], [0, 100], color=INK, linestyle="--", linewidth=1)
        sizes = 12 + 160 * np.asarray(photos) / max(photos)
        axes.plot(100 * np.asarray(stated), 100 * np.asarray(true), color=PALETTE[0], linewidth=1, alpha=0.6)
        axes.scatter(100 * np.asarray(stated), 100 * np.asarray(true), sizes, color=PALETTE[0], alpha=0.8, linewidth=0)
        axes.set(xlabel="stated, %", ylabel="observed, %", xlim=(-3, 103), ylim=(-3, 103), aspect="equal")
        axes.set_xticks([0, 50, 100])
        axes.set_yticks([0, 50, 100])

    return _svg(draw, label, (2.7, 2.6))


def risk_curve(share: Sequence[float], risk_km: Sequence[float]) -> str:
    """Plot the risk-coverage curve: mean error of the most confident answers by the share of photos answered."""

    def draw(axes: Axes) -> None:
        axes.plot(100 * np.asarray(share), risk_km, marker="o", color=PALETTE[0], label="most confident answers")
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
    """Plot a histogram; on a logarithmic axis, zeros are counted at its left end.

    `counted` says what the values belong to; `marks` are one or two labelled vertical lines.
    """

    def draw(axes: Axes) -> None:
        shown = np.maximum(values, 0.1) if log else values
        low, high = (float(end) for end in np.quantile(shown, [0, 1] if log else [0.001, 0.999]))
        if low == high:
            low, high = (low / 2, high * 2) if log else (low - 0.5, high + 0.5)
        edges = np.geomspace(low, high, 49) if log else np.linspace(low, high, 49)
        axes.hist(shown, edges.tolist(), color=PALETTE[0])
        axes.set(xlabel=label, ylabel=counted, xscale="log" if log else "linear")
        axes.yaxis.set_major_formatter("{x:,.0f}")
        if log:
            axes.xaxis.set_major_formatter("{x:,g}")
            axes.xaxis.set_minor_formatter(LogFormatter(minor_thresholds=(1.5, 0.5)))
        for (name, value), side in zip((marks or {}).items(), ("right", "left"), strict=False):
            axes.axvline(value, color=PALETTE[5], linewidth=1.2, linestyle="--")
            label_text, transform = f" {name} {value:,g} ", axes.get_xaxis_transform()
            axes.text(value, 1.01, label_text, transform=transform, ha=side, va="bottom")

    return _svg(draw, f"Number of {counted} by {label}")


def bars(counts: Sequence[tuple[str, int]], label: str, across: bool = False) -> str:
    """Plot a bar for each name, horizontally if `across`."""

    def draw(axes: Axes) -> None:
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
        (axes.set_xlabel if across else axes.set_ylabel)(label)

    return _svg(draw, f"Bars of {label}")


def _svg(draw: Callable[[Axes], None], label: str, inches: tuple[float, float] = (5.0, 3.2)) -> str:
    """Draw on a figure of that size and return it as SVG; `label` is what a screen reader says."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=inches, layout="constrained")
        draw(figure.add_subplot())
        output = io.StringIO()
        figure.savefig(output, format="svg", transparent=True, metadata={"Date": None})
    text = output.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = text.replace(INK, "currentColor")  # the text colour of the page, light or dark
    text = _with_unique_ids(text)
    # With a viewBox and no sizes in points, the chart shrinks on a phone.
    opening, content = text.split(">", 1)
    (box,) = re.findall(r'viewBox="([^"]*)"', opening)
    return f'<svg class="chart" viewBox="{box}" role="img" aria-label="{escape(label)}">{content}'


def _with_unique_ids(svg: str) -> str:
    """Make ids unique within a page by a prefix from the content, and drop those that nothing refers to."""
    referred = re.compile(r'(url\(#|href="#)([^)"]+)')
    used = {name for _, name in referred.findall(svg)}
    prefix = f"c{hashlib.sha256(svg.encode()).hexdigest()[:8]}-"
    svg = re.sub(r' id="([^"]*)"', lambda found: f' id="{prefix}{found[1]}"' if found[1] in used else "", svg)
    return referred.sub(rf"\g<1>{prefix}\g<2>", svg)
