"""The environment of the Jinja templates of pages and model cards, and the number formats they share."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import jinja2

ROUNDING = 1e-9  # sums over areas or photos differ by less from what they should be


@cache
def environment(room: str = "report") -> jinja2.Environment:
    """Return the templates of a subpackage; values are escaped unless a template marks them as our own SVG."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(f"homing.{room}"),
        autoescape=jinja2.select_autoescape(["html.j2"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = (km, km2, percent, small_share, number, duration, span, figure, with_interval)
    environment.filters |= {function.__name__: function for function in filters}
    return environment


def km(value: float | None) -> str:
    """Format a distance with as many digits as matter."""
    if value is None:
        return "–"
    return f"{value:,.0f} km" if value >= 10 else f"{value:.1f} km"


def km2(value: float | None) -> str:
    """Format an area."""
    if value is None:
        return "–"
    return f"{value / 1e6:,.1f} million km²" if value >= 1e6 else f"{number(value)} km²"


def percent(value: float | None) -> str:
    """Format a share."""
    return "–" if value is None else f"{value:.1%}"


def small_share(value: float) -> str:
    """Format a share that should be 0: "none" up to rounding errors, and never 0 where there is more."""
    if abs(value) < ROUNDING:
        return "none"
    return "< 0.001%" if value < 1e-5 else f"{value:.3%}" if value < 0.01 else percent(value)


def number(value: float | int | None) -> str:
    """Format a count or a score."""
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def is_share(name: str) -> bool:
    """Return True if the figure of this name is a share of the photos."""
    return name.startswith("within_") or name.endswith("_accuracy")


def with_interval(found: Mapping[str, Any], name: str) -> str:
    """Format a figure of a readout with its 95 % interval."""
    if name not in found:
        return "–"
    shown = percent if is_share(name) else number
    low, high = found.get("interval_95", {}).get(name, (None, None))
    return shown(found[name]) + (f" ({shown(low)} to {shown(high)})" if low is not None else "")


def figure(value: float | None, name: str) -> str:
    """Format a figure by its name: shares in percent, distances in km."""
    if is_share(name):
        return percent(value)
    return km(value) if name.endswith("_km") else number(value)


def span(bounds: tuple[float, float] | None, name: str) -> str:
    """Format the bounds of the interval of a figure; nothing if there is none."""
    if bounds is None:
        return ""
    share = is_share(name)
    low, high = (
        f"{100 * value:.1f}" if share else f"{value:,.0f}" if abs(value) >= 10 else f"{value:.1f}" for value in bounds
    )
    return f"{low} to {high}" if bounds[0] < 0 else f"{low} – {high}"


def duration(seconds: float) -> str:
    """Format seconds as seconds, minutes or hours."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
