"""What each part of the training is worth: the same run without it, from several seeds, by the validation photos.

One Snakemake call per world makes what the variants share once. `--scale small` is a first look of minutes, on the toy
planet from one seed; `--scale full` takes hours on two cores: the toy planet and, where it is there, the sample data.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from timing import sample_folder

from homing.config.configuration import merge
from homing.files import read_json_lines
from homing.shipped import ROOT
from homing.tasks import TASKS


def tasks_at(weight: float) -> dict[str, Any]:
    return {"finetune": {"weights": dict.fromkeys(TASKS, weight)}}


PARTS: dict[str, dict[str, Any]] = {
    "all parts": tasks_at(0.3),
    "no pretraining on captions": {"pretrain": {"enabled": False}} | tasks_at(0.3),
    "no masks of the same place": {"pretrain": {"same_place_km": None}} | tasks_at(0.3),
    "no smoothing": {"finetune": {"smoothing": "none"} | tasks_at(0.3)["finetune"]},
    "no auxiliary tasks": tasks_at(0.0),
    "auxiliary tasks at 0.1": tasks_at(0.1),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--scale", choices=["small", "full"], default="small")
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    full = options.scale == "full"
    found = {name: median_errors(world, options.parts) for name, world in worlds(full).items()}
    if options.json:
        print(json.dumps(found))
        return
    for name, errors in found.items():
        print(name)
        for part, kilometres in errors.items():
            print(f"  {part:32}" + "".join(f"{value:8,.0f}" for value in kilometres) + " km")


def worlds(full: bool) -> dict[str, dict[str, Any]]:
    """The configuration of each world, with the seeds of its runs."""
    epochs = (3, 6) if full else (1, 2)
    toy = {"toyplanet": {"photos": 3000 if full else 1000}} | lengths(*epochs)
    found = {"toy planet": {"config": toy, "seeds": [20, 21, 22] if full else [20]}}
    if full and sample_folder():
        sample = yaml.safe_load((ROOT / "config/sample.yaml").read_text(encoding="utf-8"))
        sample = merge(sample, {"mirror": sample_folder(), "evaluate": {"benchmarks": []}} | lengths(2, 10))
        found["sample"] = {"config": sample, "seeds": [20, 21, 22]}
    return found


def lengths(pretrain: int, finetune: int) -> dict[str, Any]:
    return {"pretrain": {"epochs": pretrain}, "finetune": {"epochs": finetune}}


def median_errors(world: Mapping[str, Any], parts: list[str]) -> dict[str, list[float]]:
    """Per part, the lowest median error of the validation photos in km, from each seed."""
    seeds = world["seeds"]
    runs = {(part, seed): f"part{list(PARTS).index(part)}_seed{seed}" for part in parts for seed in seeds}
    variants = {name: merge(PARTS[part], {"seed": seed}) for (part, seed), name in runs.items()}
    with tempfile.TemporaryDirectory() as folder:
        train(Path(folder), world["config"] | {"variants": variants}, list(runs.values()))
        histories = {key: Path(folder) / f"results/runs/{name}/finetune_history.jsonl" for key, name in runs.items()}
        return {part: [best(histories[part, seed]) for seed in seeds] for part in parts}


def train(folder: Path, config: Mapping[str, Any], runs: list[str]) -> None:
    (folder / "ablation.yaml").write_text(yaml.safe_dump(dict(config)), encoding="utf-8")
    targets = [f"results/runs/{name}/finetuned" for name in runs]
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    command += ["--configfile", str(folder / "ablation.yaml"), "--cores", "2", "--", *targets]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise SystemExit(done.stdout[-5000:])


def best(history: Path) -> float:
    rows = read_json_lines(history)
    return min(row["val_median_km"] for row in rows if row.get("val_median_km") is not None)


if __name__ == "__main__":
    main()
