"""What a dry run would execute, as JSON lines: Snakemake's own events, for `homing plan`.

Put the folder above on PYTHONPATH, then `snakemake --dry-run --logger homing --logger-homing-path jobs.jsonl`.
"""

import json
from dataclasses import dataclass, field
from logging import LogRecord
from pathlib import Path

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.settings import LogHandlerSettingsBase


@dataclass
class LogHandlerSettings(LogHandlerSettingsBase):
    path: Path | None = field(
        default=None, metadata={"help": "File that gets one JSON object per job", "type": Path, "required": True}
    )


class LogHandler(LogHandlerBase):
    """Appends every job that is told of; the usual messages go where they always go."""

    def emit(self, record: LogRecord) -> None:
        if getattr(record, "event", None) != LogEvent.JOB_INFO:
            return
        known = {name: value for name, value in record.resources.items() if isinstance(value, int | float | str)}
        job = {
            "rule": record.rule_name,
            "wildcards": dict(record.wildcards),
            "inputs": [str(file) for file in record.input],
            "outputs": [str(file) for file in record.output],
            "benchmark": record.benchmark and str(record.benchmark),
            "threads": record.threads,
            "resources": {
                name: value if isinstance(value, int | float) else str(value) for name, value in known.items()
            },
        }
        with self.settings.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(job) + "\n")

    writes_to_stream = False
    writes_to_file = False
    has_filter = True
    has_formatter = True
    needs_rulegraph = False
