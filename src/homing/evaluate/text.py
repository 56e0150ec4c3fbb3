"""Text of an evaluation for the terminal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

MAX_GROUPS = 20  # shown; the JSON has all
TITLES = {
    "median_km": "median, km", "mean_km": "mean, km", "p10_km": "10 % quantile, km", "p25_km": "25 % quantile, km",
    "p75_km": "75 % quantile, km", "p90_km": "90 % quantile, km", "geoscore": "GeoScore",
    "country_accuracy": "country right", "region_accuracy": "region right",
}  # fmt: skip
LEADING = ("geoscore", "country_accuracy", "region_accuracy", "median_km", "mean_km")


def as_text(found: Mapping[str, Any]) -> str:
    """Return rules, metrics with intervals beside published ones, groups and leaks of an evaluation."""
    parts = [_heading(found), _headline(found)]
    if "figures_of_answered" in found:
        parts.append(_row_table("Answered photos only", {"answered": found["figures_of_answered"]}))
    for name, title in (("per_continent", "Continent"), ("per_country", "Country")):
        if found.get(name):
            groups = dict(list(found[name].items())[:MAX_GROUPS])
            more = f" (the {MAX_GROUPS} largest of {len(found[name])})" if len(found[name]) > MAX_GROUPS else ""
            parts.append(_row_table(title + more, groups))
    if "leaks" in found:
        parts.append(_leaks(found["leaks"]))
    if found["intervals"]["draws"] and len(parts) > 2:
        parts.append("±: half the width of the 95 % interval; the bounds are in the JSON.")
    return "\n\n".join(parts)


def _heading(found: Mapping[str, Any]) -> str:
    expected = f" of {found['expected']:,} expected" if found["expected"] else ""
    benchmark = f"{found['benchmark']}: " if found["benchmark"] else ""
    lines = [f"{found['predictions']} against {found['truth']}"]
    lines.append(
        f"{benchmark}{found['n']:,} photos{expected}; {found['answered']:,} answered ({found['answered_share']:.1%})"
    )
    lines += [f"- {rule}" for rule in found["rules"]]
    intervals = found["intervals"]
    if intervals["draws"]:
        drawn = f"{intervals['draws']:,} bootstrap draws of {intervals['clusters']:,} {intervals['clusters_are']}"
        lines.append(f"- 95 % intervals: {drawn}, seed {intervals['seed']}")
    return "\n".join(lines)


def _headline(found: Mapping[str, Any]) -> str:
    """Return a line per metric: value, interval, the other file and the paired difference, published systems."""
    figures, against, systems = found["figures"], found.get("against"), found["published"]
    header = ["", "value", "95 % interval"]
    header += ["other", "difference", "95 % interval"] if against else []
    header += [system["system"] + ("" if system["leaks"] in ("no", "unknown") else " *") for system in systems]
    rows = [header]
    for name in _order(figures):
        row = [title_of(name), value_of(name, figures[name]), _bounds(name, figures)]
        if against:
            difference = against["differences"].get(name, {})
            row += [value_of(name, against["figures"].get(name)), value_of(name, difference.get("difference"), "+")]
            row.append(_range(name, difference.get("interval_95"), "+"))
        rows.append(row + [value_of(name, system.get(name)) for system in systems])
    lines = [aligned(rows)]
    if against:
        shares = (
            f"error smaller in {against['nearer_share']:.1%} of the photos, larger in {against['farther_share']:.1%}"
        )
        lines.append(f"other: {against['predictions']}; {shares}; intervals of paired differences")
    lines += [f"{system['system']}: published, {system['source']}; leaks: {system['leaks']}" for system in systems]
    return "\n".join(lines)


def _row_table(title: str, groups: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a line per group: n and the leading metrics, each with half the width of its interval."""
    first = next(iter(groups.values()))
    names = [name for name in _order(first) if name.startswith("within_") or name in LEADING]
    rows = [[title, "n", *(title_of(name) for name in names)]]
    for group, figures in groups.items():
        cells = [value_of(name, figures[name]) + _half_width(name, figures) for name in names]
        rows.append([group, f"{figures['n']:,}", *cells])
    return aligned(rows)


def _leaks(leaks: Mapping[str, Any]) -> str:
    reasons = ", ".join(f"{count:,} by {reason}" for reason, count in leaks["by_reason"].items()) or "none"
    lines = [f"Photos that match training photos: {leaks['photos']:,} ({leaks['share']:.1%}): {reasons}"]
    parts = {"matched": "figures_of_leaked", "not matched": "figures_without"}
    groups = {name: leaks[key] for name, key in parts.items() if leaks.get(key)}
    return "\n".join([*lines, _row_table("Photos", groups)]) if leaks["photos"] else lines[0]


def _order(figures: Mapping[str, Any]) -> Iterator[str]:
    yield from (name for name in figures if name.startswith("within_"))
    yield from (name for name in TITLES if name in figures)


def title_of(name: str) -> str:
    """Return the title of a metric."""
    if name.startswith("within_"):
        return f"within {name.removeprefix('within_').removesuffix('_km')} km"
    return TITLES[name]


def value_of(name: str, value: float | None, sign: str = "") -> str:
    """Return a metric as text: shares in percent, km with one decimal below 100; a dash for None."""
    if value is None:
        return "-"
    if name.startswith("within_") or name.endswith("_accuracy"):
        return f"{100 * value:{sign}.1f}"
    return f"{value:{sign},.0f}" if abs(value) >= 100 else f"{value:{sign}.1f}"


def _bounds(name: str, figures: Mapping[str, Any]) -> str:
    return _range(name, figures.get("interval_95", {}).get(name))


def _range(name: str, bounds: Sequence[float] | None, sign: str = "") -> str:
    return "" if bounds is None else f"[{value_of(name, bounds[0], sign)}, {value_of(name, bounds[1], sign)}]"


def _half_width(name: str, figures: Mapping[str, Any]) -> str:
    bounds = figures.get("interval_95", {}).get(name)
    return "" if bounds is None else f" ±{value_of(name, (bounds[1] - bounds[0]) / 2)}"


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of cells as aligned text: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
