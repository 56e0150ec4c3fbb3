# What a run hands over, and what makes it whole.
from homing.jobs.fingerprint import missing_outputs


def variant_summaries(wildcards):
    """The main run's report shows its variants beside it."""
    others = [run for run in RUNS if run != wildcards.run] if wildcards.run == RUNS[0] else []
    return expand(rules.summarise_run.output.summary, run=others)


def manifests(run):
    """The manifests of all jobs of a run. Asked for, they make a run whole again after a job was killed."""
    chosen = configuration.run_config(CONFIG, run)
    sets = photo_sets(run)
    once = [
        "assign_splits",
        "make_geocells",
        "compare_geocells",
        "write_captions",
        "pretrain_clip",
        "finetune_geolocator",
    ]
    once += ["calibrate_classifier", "build_refine_index", "fit_refinement", "summarise_run"]
    once += ["find_leaks"] if chosen["evaluate"]["benchmarks"] else []
    each = ["predict_photos", "refine_predictions", "read_out_predictions", "guess_baselines", "evaluate_predictions"]
    embedded = {chosen["run_dataset"], *chosen["evaluate"]["benchmarks"]}
    return [
        *(expand(getattr(rules, rule).output.manifest, run=run)[0] for rule in once),
        *(path for rule in each for path in expand(getattr(rules, rule).output.manifest, run=run, photo_set=sets)),
        *expand(rules.embed_photos.output.manifest, run=run, encoder=final_encoder(run), dataset=sorted(embedded)),
    ]


if workflow.is_main_process:
    for path in missing_outputs([f"results/runs/{run}" for run in RUNS]):
        logger.warning(f"{path} was made and is gone; nothing needs it now. To make it again: snakemake {path}")
