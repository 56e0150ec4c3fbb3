"""Format the checks as lines for the terminal."""

import shutil
import textwrap
from collections.abc import Sequence

from homing.doctor.checks import Check

MIN_COLUMNS = 60


def as_text(checks: Sequence[Check]) -> str:
    """Return a line per check, its fix below, and a last line with the counts."""
    width = max(len(check.name) for check in checks)
    columns = max(MIN_COLUMNS, shutil.get_terminal_size((120, 24)).columns)
    lines = []
    for check in checks:
        head = f"{check.status:<4}  {check.name:<{width}}  "
        lines += textwrap.wrap(check.found, columns, initial_indent=head, subsequent_indent=" " * len(head))
        if check.fix:
            lines += textwrap.wrap(
                check.fix, columns, initial_indent=" " * len(head) + "fix: ", subsequent_indent=" " * (len(head) + 5)
            )
    count = {status: sum(check.status == status for check in checks) for status in ("ok", "warn", "fail")}
    return "\n".join([*lines, "", f"{count['ok']} ok, {count['warn']} warnings, {count['fail']} failed"])
