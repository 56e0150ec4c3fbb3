"""Write the jobs of a dry run as JSON lines, for `homing plan`, from the events that Snakemake logs.

Put the folder above on PYTHONPATH, then `snakemake --dry-run --logger homing --logger-homing-path jobs.jsonl`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from logging import LogRecord
from pathlib import Path
from typing import Any

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.settings import LogHandlerSettingsBase


@dataclass
class LogHandlerSettings(LogHandlerSettingsBase):
    """The options `--logger-homing-*`."""

    path: Path | None = field(
        default=None, metadata={"help": "File that gets one JSON object per job", "type": Path, "required": True}
    )


class LogHandler(LogHandlerBase):
    """Appends every job of the dry run to the file; Snakemake prints its usual messages as always."""

    def emit(self, record: LogRecord) -> None:
        """Write the job of a JOB_INFO event."""
        if getattr(record, "event", None) != LogEvent.JOB_INFO:
            return
        settings = self.settings
        if not isinstance(settings, LogHandlerSettings) or settings.path is None:
            raise ValueError("--logger-homing-path is missing")
        with settings.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(job_of(vars(record))) + "\n")

    writes_to_stream = False
    writes_to_file = False
    has_filter = True
    has_formatter = True
    needs_rulegraph = False


def job_of(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of `homing.plan.jobs.Job`; resources that are not known yet are left out."""
    known = {name: value for name, value in event["resources"].items() if isinstance(value, int | float | str)}
    return {
        "rule": event["rule_name"],
        "wildcards": dict(event["wildcards"]),
        "inputs": [str(file) for file in event["input"]],
        "outputs": [str(file) for file in event["output"]],
        "benchmark": event["benchmark"] and str(event["benchmark"]),
        "threads": event["threads"],
        "resources": {name: value if isinstance(value, int | float) else str(value) for name, value in known.items()},
    }
