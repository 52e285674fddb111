"""Writes the small model as other programs read it: one set of weights, in their formats.

    saescope fetch smollm2-135m-instruct
    python bench/export_small.py --gguf SmolLM2-135M-Instruct.Q4_1.gguf --out DIR

The blocks behind the deepest SAE are left out, as saescope leaves them out. Weights are the values that the
file's blocks stand for, in f32; what is smaller is made of these by the other program's own means, or is the
file's own (Q4_1). DIR gets, some 1.7 GB:

    texts.json tokenizer.json         the built-in triples' 600 texts, their token ids, and what makes them
    f32.gguf f16.gguf bf16.gguf q8_0.gguf q4_0.gguf q4_1.gguf
    f32.onnx int8.onnx                ids [texts, tokens] and each text's last position to residuals [texts, d]

The ONNX model is torch's own export of transformers' blocks; int8 is onnxruntime's dynamic quantisation.
The python that runs it needs bench/requirements.txt.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from importlib.metadata import version
from pathlib import Path

from common import BUILTIN, need

LAYERS = (6, 14, 23)
GGUF_TYPES = ("F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1")


def write_gguf(source: Path, out: Path, kind: str, blocks: int) -> None:
    """A GGUF file with the first `blocks` blocks, its matrices of one type. Norms stay f32."""
    import gguf
    import numpy as np
    from gguf.quants import dequantize, quantize

    reader = gguf.GGUFReader(str(source))
    arch = reader.fields["general.architecture"].contents()
    wanted = gguf.GGMLQuantizationType[kind]
    writer = gguf.GGUFWriter(out, arch)
    for name, field in reader.fields.items():
        # the header's own, and what the writer says itself
        if name.startswith("GGUF.") or name in ("general.architecture", "general.file_type"):
            continue
        value = blocks if name == f"{arch}.block_count" else field.contents()
        inner = field.types[1] if len(field.types) > 1 else None
        writer.add_key_value(name, value, field.types[0], inner)
    writer.add_file_type(gguf.LlamaFileType[{"F32": "ALL_F32"}.get(kind, f"MOSTLY_{kind}")])
    for tensor in reader.tensors:
        parts = tensor.name.split(".")
        if parts[0] == "blk" and int(parts[1]) >= blocks:
            continue
        if len(tensor.shape) == 1:
            writer.add_tensor(tensor.name, np.array(tensor.data))
        elif tensor.tensor_type == wanted:
            writer.add_tensor(tensor.name, np.array(tensor.data), raw_dtype=wanted)
        else:
            values = dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
            writer.add_tensor(tensor.name, quantize(values, wanted), raw_dtype=wanted)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def residuals(model, layers: tuple[int, ...]):
    """The blocks up to the deepest layer as a module: ids [B, T] and last [B] to `resid_post` [B, d] of each layer.

    Texts are padded on the right, which the causal mask keeps from being read: no other mask is needed.
    """
    import torch

    class Norm(torch.nn.Module):
        """RMS norm with a division, which onnxruntime fuses; transformers' has a reciprocal, which it does not."""

        def __init__(self, norm):
            super().__init__()
            self.weight, self.epsilon = norm.weight, norm.variance_epsilon

        def forward(self, x):
            return x / torch.sqrt(x.pow(2).mean(-1, keepdim=True) + self.epsilon) * self.weight

    class Residuals(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.rotary = model.model.embed_tokens, model.model.rotary_emb
            self.blocks = torch.nn.ModuleList(model.model.layers[: layers[-1] + 1])
            for block in self.blocks:
                block.input_layernorm = Norm(block.input_layernorm)
                block.post_attention_layernorm = Norm(block.post_attention_layernorm)

        def forward(self, ids, last):
            x = self.embed(ids)
            at = torch.arange(ids.shape[1])
            angles = self.rotary(x, at[None].expand(ids.shape[0], -1))
            mask = torch.where(at[:, None] >= at[None, :], 0.0, -1e30)[None, None]
            rows, out = last[:, None, None].expand(-1, 1, x.shape[2]), []
            for number, block in enumerate(self.blocks):
                x = block(x, attention_mask=mask, position_ids=at[None], position_embeddings=angles)
                if number in layers:
                    out.append(x.gather(1, rows)[:, 0])
            return tuple(out)

    return Residuals().eval()


def write_onnx(model, out: Path, layers: tuple[int, ...]) -> None:
    import onnx
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # opset 23 has attention and rotations as operators
    model.set_attn_implementation("sdpa")
    module = residuals(model, layers)
    example = (torch.ones(2, 5, dtype=torch.long), torch.tensor([4, 3]))
    names = [f"resid_{layer}" for layer in layers]
    texts, tokens = torch.export.Dim("texts"), torch.export.Dim("tokens")
    with torch.inference_mode():
        torch.onnx.export(
            module, example, out / "f32.onnx", input_names=["ids", "last"], output_names=names, dynamo=True,
            opset_version=23, external_data=False, verbose=False,
            dynamic_shapes={"ids": {0: texts, 1: tokens}, "last": {0: texts}},
        )  # fmt: skip
    onnx.checker.check_model(out / "f32.onnx")
    quantize_dynamic(
        out / "f32.onnx", out / "int8.onnx", per_channel=True, weight_type=QuantType.QInt8,
        op_types_to_quantize=["MatMul", "Gather"],
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gguf", type=Path, required=True, help="the default model, as `saescope fetch` keeps it")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    need("gguf", "torch", "transformers", "onnx", "onnxscript", "onnxruntime")
    from gguf_models import load_gguf
    from pipeline import texts_of

    args.out.mkdir(parents=True, exist_ok=True)
    model, tokenizer, bos = load_gguf(args.gguf)
    texts = texts_of(BUILTIN, None)
    tokenizer.save(str(args.out / "tokenizer.json"))
    described = {
        "model": args.gguf.name,
        "sha256": hashlib.sha256(args.gguf.read_bytes()).hexdigest(),
        "layers": LAYERS,
        "bos": bos,
        "texts": texts,
        "ids": [encoding.ids for encoding in tokenizer.encode_batch(texts)],
        "made_by": {name: version(name) for name in ("gguf", "onnx", "onnxruntime", "torch", "transformers")},
    }
    for kind in GGUF_TYPES:
        write_gguf(args.gguf, args.out / f"{kind.lower()}.gguf", kind, LAYERS[-1] + 1)
        print(f"{kind.lower()}.gguf", flush=True)
    write_onnx(model, args.out, LAYERS)
    print("f32.onnx, int8.onnx")
    (args.out / "texts.json").write_text(json.dumps(described))


if __name__ == "__main__":
    main()
