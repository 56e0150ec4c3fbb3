"""The report of a run: one page that needs no network. Each section is a module of this package and a template."""

from homing.readouts import TITLES
from homing.report import arrows, countries, galleries, headline, ladder, making, posteriors, trust
from homing.report.geocells import drawn
from homing.report.geocells import section as geocells
from homing.report.inputs import Inputs
from homing.report.maps import WORLD, definitions
from homing.report.sources import sources_of
from homing.tasks import TASKS
from homing.templates import environment


def render_report(inputs: Inputs) -> str:
    """Return the HTML of the report."""
    land = countries.outlines_by_country(inputs.cells.table)
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            run=inputs.summary["run"],
            dataset=inputs.config["run_dataset"],
            summary=inputs.summary,
            definitions=definitions(land.values()),
            headline=headline.section(inputs),
            readouts=TITLES,
            variants=[inputs.summary, *inputs.variants] if inputs.variants else [],
            ladder=ladder.section(inputs),
            countries=countries.section(inputs, land),
            arrows=arrows.section(inputs),
            posteriors=posteriors.section(inputs),
            trust=trust.section(inputs),
            galleries=galleries.section(inputs),
            tasks={name: task.title for name, task in TASKS.items()},
            scores=inputs.test["tasks"],
            folder="geocells/",
            cells=geocells(inputs.cells, drawn(inputs.cells.table, WORLD)),
            training=making.training(inputs),
            sources=sources_of(inputs.config, inputs.manifests),
            costs=making.costs(inputs.summary),
            made=making.provenance(inputs),
        )
    )
