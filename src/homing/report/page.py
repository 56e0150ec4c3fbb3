"""Templates, and small things that pages share."""

import base64
from collections.abc import Mapping
from functools import cache
from typing import Any

import jinja2

from homing.photos.images import encode_jpeg


@cache
def environment() -> jinja2.Environment:
    """The templates of this room; everything put into them is escaped unless it is SVG of our own."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("homing.report"),
        autoescape=jinja2.select_autoescape(["html.j2"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"km": km, "km2": km2, "percent": percent, "number": number, "duration": duration}
    environment.filters |= {"figure": figure}
    return environment


def km(value: float | None) -> str:
    """A distance with the digits that matter."""
    if value is None:
        return "–"
    return f"{value:,.0f} km" if value >= 10 else f"{value:.1f} km"


def km2(value: float | None) -> str:
    """An area."""
    return "–" if value is None else f"{number(value)} km²"


def percent(value: float | None) -> str:
    """A share."""
    return "–" if value is None else f"{value:.1%}"


def number(value: float | int | None) -> str:
    """A count or a score."""
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def figure(found: Mapping[str, Any], name: str) -> str:
    """A figure of a readout with its 95 % interval."""
    if name not in found:
        return "–"
    shown = percent if name.startswith("within") or name.endswith("accuracy") else number
    low, high = found.get("interval_95", {}).get(name, (None, None))
    return shown(found[name]) + (f" ({shown(low)} to {shown(high)})" if low is not None else "")


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def data_uri(image, side: int) -> str:
    """A JPEG of at most `side` pixels as a data URI, without any metadata."""
    return "data:image/jpeg;base64," + base64.b64encode(encode_jpeg(image, side, 82)).decode("ascii")
