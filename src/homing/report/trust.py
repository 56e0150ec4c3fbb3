"""Section on calibration and uncertainty: reliability diagrams, risk-coverage curve, coverage of the regions."""

from typing import Any

from homing.report.charts import reliability, risk_curve
from homing.report.inputs import Inputs


def section(inputs: Inputs) -> dict[str, Any] | None:
    """Return charts and tables, or None if the cells of the photos are not known."""
    found = inputs.test["confidence"]
    if found is None:
        return None
    risk = {float(share): value for share, value in found["risk_km_by_coverage"].items()}
    return {
        "figures": found,
        "diagrams": [
            (f"{float(name[7:-3]):,g} km", diagram, reliability(diagram["stated"], diagram["true"], diagram["photos"],
             f"Reliability within {float(name[7:-3]):g} km: the stated probability against how often it came true"))
            for name, diagram in found["reliability"].items()
        ],
        "risk": risk,
        "risk_chart": risk_curve(list(risk), list(risk.values())),
    }  # fmt: skip
