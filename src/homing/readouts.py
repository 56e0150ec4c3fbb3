"""The nine readouts: each turns what is known of a photo into one place. Declared once, in the order reports show them.

What a readout computes stands in `homing.refine.readout` and `homing.evaluate.baselines`; see docs/refinement.md.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Readout:
    """A readout: its name in file names, metrics and options, its title in reports, and the rule that writes it.

    needs_photos: True if it compares the photo with the training photos, so that a package without them cannot give it.
    """

    name: str
    title: str
    rule: str
    needs_photos: bool = False


READOUTS = (
    Readout("refined", "Refined (the answer)", "refine_predictions", needs_photos=True),
    Readout("classifier", "Geocell classifier alone", "predict_photos"),
    Readout("mode", "Mean of the candidates near the most probable one", "read_out_predictions"),
    Readout("score", "Candidate with the highest expected score", "read_out_predictions"),
    Readout("median", "Candidate with the smallest expected error", "read_out_predictions"),
    Readout("hierarchy", "Levels of the hierarchy combined", "read_out_predictions"),
    Readout("retrieval", "Nearest training photo, if similar enough", "read_out_predictions", needs_photos=True),
    Readout("thumbnail", "Training photo with the nearest 16 × 16 thumbnail", "guess_baselines", needs_photos=True),
    Readout("constant", "Best constant guess", "guess_baselines"),
)
NAMES = tuple(readout.name for readout in READOUTS)
TITLES = {readout.name: readout.title for readout in READOUTS}
ANSWER, CLASSIFIER = "refined", "classifier"  # the answer of a run, and of a package without training photos


def written_by(rule: str) -> tuple[str, ...]:
    """Return the names of the readouts that a rule of the workflow writes."""
    return tuple(readout.name for readout in READOUTS if readout.rule == rule)


FURTHER = written_by("read_out_predictions")  # the choices of refine.readout
BASELINES = written_by("guess_baselines")
PACKAGED = tuple(name for name in NAMES if name not in BASELINES)  # those a model package can answer by
NEED_PHOTOS = tuple(readout.name for readout in READOUTS if readout.needs_photos)
