"""What the programs that make reference rows of tiny models have in common."""

import argparse
import hashlib
import json
import pathlib
import platform

import numpy as np
import torch
import transformers

from gguf_f32 import Gguf

TOKENS = [(7 + 11 * i) % 288 for i in range(30)]


def write_references(families, rows_of):
    """Writes NAME.f32, rows_of(file, TOKENS), for the models of --models whose architecture is
    one of `families`, and versions.json beside them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    models = {}
    for path in sorted(args.models.glob("*.gguf")):
        file = Gguf(path)
        if file.metadata["general.architecture"] not in families:
            continue
        rows = rows_of(file, TOKENS).astype("<f4")
        rows.tofile(args.out / (path.stem + ".f32"))
        models[path.stem] = hashlib.sha256(path.read_bytes()).hexdigest()
        print(f"{path.stem}: root mean square {np.sqrt(np.mean(rows ** 2)):.3f}")
    versions = {"python": platform.python_version(), "torch": torch.__version__,
                "transformers": transformers.__version__, "numpy": np.__version__,
                "sha256_of_models": models}
    (args.out / "versions.json").write_text(json.dumps(versions, indent=1) + "\n")
