"""Writes tests/golden/gguf.json: digests of real GGUF models in Hugging Face layout.

    python reference/gguf_golden.py SmolLM2-135M-Instruct.Q4_1.gguf gemma-3-270m-q4_k_m.gguf

The digest of a model is the SHA-256 over its tensors in the order of their Hugging Face names: the
name, then the f32 values (little-endian, row-major). Names from gguf-py's own table, values from
gguf-py's dequantisation; Q and K rows of Llama models un-permuted, 1 taken off Gemma's norms.
"""

import argparse
import hashlib
import json
from pathlib import Path

import gguf
import numpy as np
from gguf.quants import dequantize

OUT = Path(__file__).parent.parent / "tests" / "golden" / "gguf.json"

HF_PARTS = {
    "llama": ["input_layernorm", "post_attention_layernorm"],
    "gemma3": [
        "input_layernorm",
        "post_attention_layernorm",
        "pre_feedforward_layernorm",
        "post_feedforward_layernorm",
        "self_attn.q_norm",
        "self_attn.k_norm",
    ],
}
PROJECTIONS = [f"self_attn.{p}_proj" for p in "qkvo"] + [f"mlp.{p}_proj" for p in ("gate", "up", "down")]


def digest(path: Path) -> str:
    reader = gguf.GGUFReader(path)
    arch = reader.fields["general.architecture"].contents()
    layers = reader.fields[f"{arch}.block_count"].contents()
    heads = reader.fields[f"{arch}.attention.head_count"].contents()
    kv_heads = reader.fields[f"{arch}.attention.head_count_kv"].contents()
    arch_id = next(k for k, v in gguf.MODEL_ARCH_NAMES.items() if v == arch)
    table = gguf.get_tensor_name_map(arch_id, layers)
    names = ["model.embed_tokens", "model.norm", "lm_head"]
    names += [f"model.layers.{i}.{part}" for i in range(layers) for part in HF_PARTS[arch] + PROJECTIONS]
    hf_names = {f"{table.get_name(name)}.weight": f"{name}.weight" for name in names}
    tensors = {hf_names[tensor.name]: tensor for tensor in reader.tensors}
    sha = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        values = dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        values = values.reshape(tuple(int(n) for n in tensor.shape[::-1]))
        if arch == "llama" and name.endswith(("q_proj.weight", "k_proj.weight")):
            n = heads if "q_proj" in name else kv_heads
            rows = values.shape[0]
            values = values.reshape(n, rows // n // 2, 2, -1).swapaxes(1, 2).reshape(rows, -1)
        if arch.startswith("gemma") and name.endswith("norm.weight"):
            values = values - np.float32(1)
        sha.update(name.encode())
        sha.update(np.ascontiguousarray(values, dtype="<f4").tobytes())
    return sha.hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+")
    args = parser.parse_args()
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps({path.name: digest(path) for path in args.models}, indent=2) + "\n")


if __name__ == "__main__":
    main()
