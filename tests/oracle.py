"""Is what the program writes what it wrote before? For a change of structure that must change no byte.

    python tests/oracle.py write              # keep the hashes of this tree's outputs in tests/oracle.json
    python tests/oracle.py compare            # name each output that differs from them
    python tests/oracle.py compare reports    # one part alone; --keep DIR leaves the outputs there, for `diff -r`

Hashes hold on the machine that wrote them: trainings round, and plans estimate times, as its CPU does.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HASHES = ROOT / "tests" / "oracle.json"
SUITES = sorted(path.stem for path in (ROOT / "bench" / "suite" / "builtin").glob("*.toml"))
REPORTS = sorted(path.parent.name for path in (ROOT / "reports").glob("*/report.md"))
LONG_PLANS = ["pretrain", "transfer", "vtab"]  # a minute each: they build large models
COMMANDS = [
    "", "run", "plan", "report", "compare", "claims", "choose", "explain", "export", "inspect", "models", "datasets",
    "suites", "complexity", "doctor", "adopt", "check", "data", "data check", "data show",
]  # fmt: skip
QUESTIONS = {
    "claims": ["claims --shipped"],
    "claims.json": ["claims --shipped --json"],
    "compare two": ["compare vit_32px_m resnet_32px_m --shipped"],
    "compare sets": ["compare vit_32px_s resnet_32px_s mbconv_32px_s --shipped --suite desk --json"],
    "compare pretrained": ["compare vit_32px_s resnet_32px_s --shipped --suite pretrain-desk --json"],
    "compare transfer": ["compare vit_32px_s resnet_32px_s --shipped --suite transfer-desk --json"],
    "choose desk": ["choose --dataset textures --shipped --suite desk"],
    "choose desk.json": ["choose --dataset textures --shipped --suite desk --max-macs-g 0.01 --json"],
    "choose all": ["choose --dataset digits --shipped --json"],
    "choose latency": ["choose --dataset shapes --shipped --max-latency-ms 2"],
    "explain": [f"explain reports/{name}" for name in REPORTS],
    "explain.json": [f"explain reports/{name} --json" for name in REPORTS],
    "models": ["models", "models --json", "models --family vit 'vit_*_384*'"],
    "datasets": ["datasets cifar10 pets imagenet"],
    "suites": ["suites"],
    "complexity": ["complexity @small --processes 1", "complexity resnet50 --json --processes 1"],
    "wrong": [
        "run nosuch", "plan desk --data x", "choose --dataset nosuch --shipped", "compare vit_32px_m --shipped",
        "claims nosuch", "explain reports/desk nosuch", "report nosuch", "complexity vit_smal_patch16_224",
        "check --base HEAD --a x=1", "datasets nosuch", "data check nosuch", "inspect nosuch",
    ],
}  # fmt: skip

TRAINING = """
question = "Do trainings give the same weights?"

[settings]
memory_format = "channels_last"

[[complexity]]
models = ["*_32px_s"]
num_classes = 10

[[train]]
models = ["*_32px_s"]
datasets = ["digits", "shapes"]
train_images = [300]
budgets_gflop = [12]
seeds = [0]
learning_rate = 0.002

[[evaluate]]
models = ["vit_32px_s"]
datasets = ["digits"]
weights = ["trained:digits"]

[[fewshot]]
models = ["vit_32px_s", "resnet_32px_s"]
datasets = ["counts"]
weights = ["trained:shapes", "random"]
shots = [2, 5]
draws = 2
resolution_px = 32

[[finetune]]
models = ["vit_32px_s", "mbconv_32px_s"]
datasets = ["digits"]
weights = ["trained:shapes", "random"]
learning_rates = [0.03, 0.1]
steps = 20
batch_size = 32
resolution_px = 32
seeds = [0, 1]

[[pixels]]
datasets = ["digits"]
train_images = 100
seeds = [0, 1]
"""
PRETRAINING = """
question = "Do pretrainings give the same weights?"

[pretraining]
batch_size = 16
grad_clip_norm = 1.0
augmentation = "light"
looks = 2

[[pretrain]]
models = ["vit_32px_s", "hybrid_32px_s"]
datasets = ["mix-64"]
train_images = [256]
resolution_px = 32
budgets_images = [256, 1024]
seeds = [0, 1]
learning_rate = { learning_rates = [0.001, 0.004] }

[[finetune]]
models = ["vit_32px_s", "hybrid_32px_s"]
datasets = ["digits"]
weights = ["pretrained:full", "random"]
resolution_px = 32
train_images = 100
batch_size = 16
steps = 8
learning_rates = [0.03, 0.1]
seeds = [0, 1]
crop = false
flip = false
"""
# What a clock or the machine gives, in values, samples and pages of a run.
MEASURED = re.compile(r"(_s|_per_s|seconds|_ms|_mib|_hours|_at|_ratio|wait_share)$")

Outputs = dict[str, bytes]


def vitbench(command: str, cwd: Path = ROOT, *more: str) -> bytes:
    """What a command prints, both streams, and its exit code. command: words, quoted as in a shell."""
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "110",
        "NO_COLOR": "1",
        "OMP_NUM_THREADS": "1",
        "VITBENCH_CACHE": str(Path(tempfile.gettempdir()) / f"oracle-cache-{os.getuid()}"),
    }
    done = subprocess.run(
        [sys.executable, "-m", "bench", *shlex.split(command), *more],
        cwd=cwd,
        env=env,
        capture_output=True,
        check=False,
    )
    return b"%s\n--- stderr\n%s\n--- exit %d\n" % (done.stdout, done.stderr, done.returncode)


def tree(folder: Path, name: str) -> Outputs:
    return {
        f"{name}/{path.relative_to(folder)}": path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def reports(place: Path) -> Outputs:
    """Every file of every committed report: page, tables, figures (SVG), the web page."""
    told = vitbench("report --shipped", ROOT, "--reports", str(place))
    return {"report": told.replace(bytes(place), b"."), **tree(place, "reports")}


def plans(place: Path) -> Outputs:
    quick = [name for name in SUITES if name not in LONG_PLANS]
    found = {f"plan {name}.json": vitbench(f"plan {name} --json --shipped --device cpu") for name in quick}
    found |= {f"plan {name}": vitbench(f"plan {name} --device cpu --results {place}") for name in ("desk", "pocket")}
    return found


def long_plans(place: Path) -> Outputs:
    return {f"plan {name}.json": vitbench(f"plan {name} --json --shipped --device cpu") for name in LONG_PLANS}


def questions(place: Path) -> Outputs:
    return {
        name: b"\n".join(vitbench(command) for command in commands).replace(bytes(place), b".")
        for name, commands in QUESTIONS.items()
    }


def helps(place: Path) -> Outputs:
    return {f"help {name}": vitbench(f"{name} --help") for name in COMMANDS}


def gate(place: Path) -> Outputs:
    """The kept checks in every format of the gate, and what kept self-tests say."""
    code = """
import sys
from pathlib import Path
from bench.gate.formats import FORMATS
from bench.gate.result import CheckResult
from bench.gate.selftest import Recording, summarise
from bench.cli.selftest import describe_selftest

place = Path(sys.argv[1])
recordings = []
for file in sorted(Path("results/selftests").glob("*.json")):
    text = file.read_text()
    if file.stem.startswith("pairs"):
        recordings.append(Recording.model_validate_json(text))
        continue
    result = CheckResult.model_validate_json(text)
    for name, form in FORMATS.items():
        (place / f"{file.stem}.{name}").write_text(form.render(result))
(place / "selftests").write_text(describe_selftest(recordings, summarise(recordings, threshold=0.05), 5.0))
"""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code, str(place)], cwd=ROOT, env=env, check=True)
    return tree(place, "gate")


def weights(place: Path) -> Outputs:
    """What short trainings give: every value that no clock gave, predictions, and the tables of the reports."""
    found: Outputs = {}
    for name, suite in (("training", TRAINING), ("pretraining", PRETRAINING)):
        (place / f"{name}.toml").write_text(suite)
        told = vitbench(f"run {name}.toml --device cpu --workers 2", place)
        if not told.endswith(b"--- exit 0\n"):
            sys.exit(told.decode())
        records = {}
        for file in (place / "results" / "local" / name).glob("*.jsonl"):
            for line in file.read_text().splitlines():
                record = json.loads(line)
                if "cell" in record:
                    kept = {key: record[key] for key in ("cell", "status", "reason", "values", "samples")}
                    for part in ("values", "samples"):
                        kept[part] = {k: v for k, v in kept[part].items() if not MEASURED.search(k)}
                    records[record["cell_id"]] = kept
        found[f"{name} records"] = json.dumps(records, sort_keys=True, indent=1).encode()
        if (folder := place / "results" / "local" / name / "predictions").is_dir():
            found |= tree(folder, f"{name} predictions")
    return found


PARTS: dict[str, Callable[[Path], Outputs]] = {
    "help": helps, "gate": gate, "plans": plans, "questions": questions, "reports": reports, "weights": weights,
    "long_plans": long_plans,
}  # fmt: skip


def outputs(parts: list[str]) -> Iterator[tuple[str, str, bytes]]:
    """(part, name, bytes) of every output, of two parts at a time."""

    def made(part: str) -> Outputs:
        with tempfile.TemporaryDirectory() as place:
            return PARTS[part](Path(place))

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for part, found in zip(parts, pool.map(made, parts), strict=True):
            for name, content in sorted(found.items()):
                yield part, name, content.replace(bytes(ROOT), b".")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("do", choices=["write", "compare"])
    parser.add_argument("parts", nargs="*", default=list(PARTS), help=f"some of: {', '.join(PARTS)}")
    parser.add_argument("--keep", type=Path, help="a folder for the outputs themselves")
    asked = parser.parse_args()
    found: dict[str, dict[str, str]] = {part: {} for part in asked.parts}
    for part, name, content in outputs(asked.parts):
        found[part][name] = hashlib.sha256(content).hexdigest()[:16]
        if asked.keep is not None:
            path = asked.keep / part / name.replace(" ", "_")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    known = json.loads(HASHES.read_text()) if HASHES.exists() else {}
    if asked.do == "write":
        HASHES.write_text(json.dumps(known | found, indent=0, sort_keys=True) + "\n")
        return
    differ = [
        f"{part}: {name}"
        for part in asked.parts
        for name in sorted(found[part].keys() | known[part].keys())
        if found[part].get(name) != known[part].get(name)
    ]
    told = "\n".join(differ) or f"All {sum(map(len, found.values()))} outputs are as before."
    sys.stdout.write(f"{told}\n")
    sys.exit(bool(differ))


if __name__ == "__main__":
    main()
