# Homing: from raw downloads to a trained photo geolocator. The table of contents; every stage is one file in rules/.
#   snakemake --profile profiles/local                                    the demo: a generated toy planet
#   snakemake --profile profiles/slurm --configfile config/pigeotto.yaml  a preset, on a cluster
#   snakemake --profile profiles/local finetune                           one stage and what it needs
import sys
from pathlib import Path

HERE = Path(str(workflow.current_basedir))  # also where another workflow uses this one as a module
sys.path.insert(0, str(HERE / "src"))

from homing.jobs.code import share_library
from homing.jobs.workers import let_threads_sleep

share_library()
let_threads_sleep()


configfile: HERE / "config/config.yaml"


report: HERE / "workflow/report/workflow.rst"


include: "rules/common.smk"


wildcard_constraints:
    run="|".join(RUNS),
    dataset="[a-z0-9_]+",
    version="[A-Za-z0-9_.-]+",
    encoder="pretrained|finetuned",
    photo_set="[A-Za-z0-9_]+",
    file="[^/]+",


include: "rules/retrieve.smk"
include: "rules/photos.smk"
include: "rules/labels.smk"
include: "rules/geocells.smk"
include: "rules/training.smk"
include: "rules/refine.smk"
include: "rules/evaluate.smk"
include: "rules/report.smk"


localrules:
    all,
    retrieve,
    labels,
    geocells,
    pretrain,
    embeddings,
    finetune,
    refine,
    evaluate,
    report,


rule all:
    default_target: True
    input:
        rules.report.input,
        expand("results/runs/{run}/model", run=RUNS),
        [path for run in RUNS for path in manifests(run)],
