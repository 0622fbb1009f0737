"""Takes Fashion-MNIST through the whole life of a model: `python -m benchmarks.lifecycle --help`.

What was finished before is not done again, so a run that was cut off goes on.
"""

import argparse
import platform
import sys
import time
from itertools import islice
from pathlib import Path

from benchmarks.cluster import Cluster, running
from benchmarks.lifecycle.chain import (
    DATASET,
    FINAL,
    FULL,
    LITE0,
    LITE0_FLOAT,
    LITE0_INT8,
    MODELS,
    PHOTOGRAPHS,
    RUNS,
    SMOKE,
    STUDENT,
    TEACHER,
    Chain,
    Scale,
)
from benchmarks.lifecycle.data import NoDataError, fashion_mnist, first
from benchmarks.lifecycle.figures import Lifecycle, Quantised, Served, passed, read_evaluations, read_results
from benchmarks.lifecycle.page import render
from benchmarks.lifecycle.served import Answers, alike, ask, best_class, images_per_second, wait_until_ready
from benchmarks.lifecycle.shell import CommandError, Shell
from benchmarks.limit import CORES
from benchmarks.machine import cpu_field
from benchmarks.workload import ROOT
from modelkit.data.store import open_dataset
from modelkit.evaluate.pictures import labelled
from modelkit.publish import live_version
from modelkit.release.trial import SPLIT, decode
from modelkit.variants import photographs, unchanged
from servicekit.manifest import read_manifest

PHOTOGRAPH = ROOT / "examples" / "chelsea.png"
BATCHES = (1, 8, 32)


def main() -> int:
    """Runs the chain. Returns 0 when all commands and the cluster did what they should, and goals are met."""
    options = _options()
    scale = SMOKE if options.smoke else FULL
    shell = Shell(options.python, scale.folder)
    try:
        source = options.source or fashion_mnist(ROOT / ".triptych" / "fashion-mnist")
        page, right = _run(Chain(shell, scale), source, options.seconds)
    except (CommandError, NoDataError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(page)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(page, encoding="utf-8")
    return 0 if right else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="a few pictures and epochs: whether all of it works")
    parser.add_argument("--source", type=Path, help="folder of Fashion-MNIST's IDX files")
    parser.add_argument("--seconds", type=float, default=4, help="of each load on Triton")
    parser.add_argument("--out", type=Path, help="file for the report")
    parser.add_argument(
        "--python",
        type=Path,
        default=ROOT / ".venv-modelkit" / "bin" / "python",
        help="of the environment with PyTorch",
    )
    return parser.parse_args()


def _run(chain: Chain, source: Path, seconds: float) -> tuple[str, bool]:
    scale, begin = chain.scale, time.monotonic()
    scale.folder.mkdir(parents=True, exist_ok=True)
    if not (scale.folder / RUNS / TEACHER).exists():
        chain.data(first(source, scale.pictures, scale.folder / "first") if scale.pictures else source)
    models = chain.repository()
    chain.teacher()
    with running(("--model-repository", str(models)), {"TRIPTYCH_RESULT_CACHE_BYTES": "0"}) as cluster:
        server = f"127.0.0.1:{cluster.grpc_port}"
        wait_until_ready(server, TEACHER, "1")
        before = best_class(server, PHOTOGRAPH)
        chain.students(server)
        chain.compress(server)
        chain.publish_student()
        live = live_version(read_manifest(models / TEACHER))
        refusal = chain.offer_worse()
        student, rates = _serve(cluster, server, scale, seconds)
        chain.quantise_published()
        served = Served(
            student,
            rates,
            lite0=_photographs(cluster, server, models, seconds),
            photographs=(before, best_class(server, PHOTOGRAPH)),
            live=(live, live_version(read_manifest(models / TEACHER))),
        )
    found = Lifecycle(read_results(scale.folder, scale.seeds), read_evaluations(scale.folder), scale.seeds, served)
    page = render(found, refusal.output, chain.shell.done, _about(time.monotonic() - begin))
    return page, passed(found, held=scale.held)


def _serve(cluster: Cluster, server: str, scale: Scale, seconds: float) -> tuple[Answers, dict[str, dict[int, float]]]:
    wait_until_ready(server, STUDENT, "1")
    models, dataset = scale.folder / MODELS, open_dataset(scale.folder / ".triptych" / "datasets", DATASET)
    recipe = read_manifest(models / STUDENT).input
    batches = [decode(list(islice(labelled(dataset, SPLIT), size)), recipe) for size in BATCHES]
    rates = {
        run: {len(batch): images_per_second(cluster, models, name, "1", batch, seconds) for batch in batches}
        for run, name in ((TEACHER, TEACHER), (FINAL, STUDENT))
    }
    return ask(server, models, STUDENT, "1", dataset), rates


def _photographs(cluster: Cluster, server: str, models: Path, seconds: float) -> Quantised:
    wait_until_ready(server, LITE0, LITE0_INT8)
    manifest, files = read_manifest(models / LITE0), photographs(PHOTOGRAPHS)
    pictures = unchanged(files, manifest.input)
    rates = {
        version: {size: images_per_second(cluster, models, LITE0, version, pictures[:size], seconds) for size in (1, 8)}
        for version in (LITE0_FLOAT, LITE0_INT8)
    }
    same = alike(server, LITE0, (LITE0_FLOAT, LITE0_INT8), files)
    return Quantised(len(files), same, rates, manifest.versions[LITE0_INT8].accuracy)


def _about(seconds: float) -> dict[str, str]:
    model, flags = cpu_field("model name"), cpu_field("flags").split()
    kinds = [name for name in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8") if name in flags]
    return {
        "Command": "`" + " ".join(["python -m benchmarks.lifecycle", *sys.argv[1:]]) + "`",
        "Date": time.strftime("%Y-%m-%d"),
        "Machine": f"{CORES} cores, {model} ({', '.join(kinds)}), Linux {platform.release().split('-')[0]}",
        "Seconds of this call": str(round(seconds)),
    }


if __name__ == "__main__":
    sys.exit(main())
