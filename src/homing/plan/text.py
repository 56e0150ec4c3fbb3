"""Format the plan as a table for the terminal."""

from homing.plan.estimate import Line, Plan

HEADER = ("rule", "jobs", "in", "out", "CPU time", "GPU time", "longest job", "rates")
MAX_UNKNOWNS = 12


def as_text(plan: Plan) -> str:
    """Return one line per rule, totals, the critical path and the unknowns."""
    lines = [_cells(line) for line in plan.rules]
    table = [HEADER, *lines, _cells(plan.total())]
    widths = [max(len(row[column]) for row in table) for column in range(len(HEADER))]
    text = [_row(row, widths) for row in table]
    text.insert(1, "  ".join("-" * width for width in widths))
    text.insert(-1, text[1])
    return "\n".join([*(line.rstrip() for line in text), "", *_conclusions(plan)])


def _conclusions(plan: Plan) -> list[str]:
    if not plan.jobs:
        return ["nothing to do: all results exist"]
    device = {"cpu": "no GPU is requested"}.get(plan.device, f"GPU rates: {plan.device.upper()}")
    lines = [
        f"download      {gigabytes(plan.download_gb)}",
        f"disk          {gigabytes(plan.peak_disk_gb)} at peak, {gigabytes(plan.kept_gb)} kept",
        f"critical path {duration(plan.chain_hours)}: {_arrows(plan.chain)}",
        f"device        {device}",
    ]
    unknown = [f"  {name}: {why}" for name, why in list(plan.unknowns.items())[:MAX_UNKNOWNS]]
    rest = len(plan.unknowns) - len(unknown)
    lines += [f"advice        {line}" for line in dict.fromkeys(plan.advice)]
    return lines + (["assumed, or not measured by Homing:", *unknown] if unknown else []) + (
        [f"  and {rest} more (--json)"] if rest > 0 else []
    )  # fmt: skip


def _arrows(rules: list[str]) -> str:
    return " > ".join(dict.fromkeys(rule for rule in rules if rule != "all"))


def _cells(line: Line) -> tuple[str, ...]:
    return (
        line.rule,
        str(line.jobs),
        gigabytes(line.input_gb),
        gigabytes(line.output_gb),
        duration(line.cpu_hours),
        duration(line.gpu_hours) if line.gpu_hours else "",
        duration(line.longest_job_hours),
        line.rates,
    )


def _row(cells: tuple[str, ...], widths: list[int]) -> str:
    first, *middle, last = cells
    return "  ".join([first.ljust(widths[0]), *map(str.rjust, middle, widths[1:-1]), last])


def gigabytes(size: float) -> str:
    """Format a size: GB with three digits, or MB below a tenth of a GB."""
    if size >= 0.1:
        return f"{size:,.0f} GB" if size >= 100 else f"{size:.3g} GB"
    return f"{size * 1e3:.2g} MB" if size >= 5e-5 else "0"


def duration(hours: float) -> str:
    """Format hours as hours, minutes or seconds."""
    if hours >= 1:
        return f"{hours:,.0f} h" if hours >= 100 else f"{hours:.3g} h"
    return f"{hours * 60:.2g} min" if hours >= 1.5 / 60 else f"{hours * 3600:.2g} s"
