"""Tiny SAEs of every architecture, format and input handling, and what SAELens computes with them.

Writes tests/golden/sae/<case>/: the SAE's files as they lie on disk, `expected.safetensors`
(x, feature_acts, x_hat) and `case.json` (what a reader should find in the files).

    python reference/golden_sae.py            # needs sae-lens 6.54
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

import sae_lens.loading.pretrained_sae_loaders as loaders
from sae_lens import SAE
from sae_lens.registry import get_sae_class
from sae_lens.saes.batchtopk_sae import BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig
from sae_lens.saes.matryoshka_batchtopk_sae import (
    MatryoshkaBatchTopKTrainingSAE,
    MatryoshkaBatchTopKTrainingSAEConfig,
)
from sae_lens.saes.sae import SAEMetadata

OUT = Path(__file__).resolve().parent.parent / "tests" / "golden" / "sae"
D_IN, D_SAE = 16, 40


def inputs(g: torch.Generator) -> torch.Tensor:
    """Rows that go wrong first: plain, offset, zero, tiny, huge, constant."""
    plain = torch.randn(4, D_IN, generator=g) * 2
    return torch.stack(
        [
            *plain,
            plain[0] + 7,
            torch.zeros(D_IN),
            plain[1] * 1e-3,
            plain[2] * 1e4,
            torch.full((D_IN,), 1.5),
        ]
    )


def weights(g: torch.Generator, architecture: str) -> dict[str, torch.Tensor]:
    rand = lambda *shape: torch.randn(*shape, generator=g)
    state = {
        "W_enc": rand(D_IN, D_SAE) * 0.4,
        # norms from 0.2 to 3, so that rescaling by them shows
        "W_dec": rand(D_SAE, D_IN) / 4 * torch.linspace(0.2, 3, D_SAE)[:, None],
        "b_dec": rand(D_IN) * 0.5,
    }
    if architecture == "gated":
        state |= {"b_gate": rand(D_SAE) * 0.5, "b_mag": rand(D_SAE) * 0.5, "r_mag": rand(D_SAE) * 0.5}
    else:
        state["b_enc"] = rand(D_SAE) * 0.5
    if architecture == "jumprelu":
        # some thresholds below zero: ReLU still applies
        state["threshold"] = torch.rand(D_SAE, generator=g) * 1.5 - 0.2
    return state


def write_case(
    name: str, files: dict[str, Path], sae: SAE, x: torch.Tensor, facts: dict, center: bool = False
) -> None:
    """Copies the SAE's files and writes the reference's activations and reconstructions."""
    folder = OUT / name
    if folder.exists():
        shutil.rmtree(folder)
    for relative, source in files.items():
        target = folder / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    # center_writing_weights: the model that the SAE was trained on has a residual stream of mean 0
    mean = x.mean(-1, keepdim=True) if center else torch.zeros(len(x), 1)
    acts, x_hat = [], []
    with torch.no_grad():
        # row by row: SAELens keeps the input's norm between encode and decode
        for row, mu in zip(x, mean):
            a = sae.encode((row - mu)[None])
            acts.append(a[0])
            x_hat.append(sae.decode(a)[0] + mu)
    save_file(
        {"x": x.contiguous(), "feature_acts": torch.stack(acts), "x_hat": torch.stack(x_hat)},
        folder / "expected.safetensors",
    )
    facts = {"files": sorted(files), **facts}
    (folder / "case.json").write_text(json.dumps(facts, indent=1) + "\n")
    l0 = (torch.stack(acts) > 0).sum(-1).tolist()
    print(f"{name}: l0 {l0}")


def inference_sae(cfg: dict, state: dict[str, torch.Tensor]) -> SAE:
    sae_cls, cfg_cls = get_sae_class(cfg["architecture"])
    cfg = {"d_in": D_IN, "d_sae": D_SAE, **{k: v for k, v in cfg.items() if k != "architecture"}}
    sae = sae_cls(cfg_cls(**cfg))
    sae.load_state_dict(state)
    return sae


def metadata(**more) -> SAEMetadata:
    known = {"model_name": "gemma-2-2b", "hook_name": "blocks.12.hook_resid_post", "hook_head_index": None}
    return SAEMetadata(**{**known, "prepend_bos": True, "context_size": 128, **more})


def v6_cases(tmp: Path) -> None:
    cases = []
    for b_dec in (True, False):
        for norm in ("none", "constant_norm_rescale", "layer_norm", "expected_average_only_in"):
            cases.append(("standard", norm, b_dec, {}))
    for norm in ("none", "constant_norm_rescale", "layer_norm", "expected_average_only_in"):
        cases.append(("jumprelu", norm, norm == "none", {}))
        cases.append(("gated", norm, norm != "layer_norm", {}))
    for rescale in (True, False):
        for norm in ("none", "layer_norm", "expected_average_only_in"):
            cases.append(("topk", norm, norm != "none", {"k": 7, "rescale_acts_by_decoder_norm": rescale}))
    cases.append(("topk", "none", True, {"k": D_SAE}))
    for i, (architecture, norm, b_dec, extra) in enumerate(cases):
        g = torch.Generator().manual_seed(100 + i)
        cfg = {
            "architecture": architecture,
            "normalize_activations": norm,
            "apply_b_dec_to_input": b_dec,
            "metadata": metadata(),
            **extra,
        }
        sae = inference_sae(cfg, weights(g, architecture))
        folder = tmp / f"v6_{i}"
        sae.save_model(folder)
        files = {"cfg.json": folder / "cfg.json", "sae_weights.safetensors": folder / "sae_weights.safetensors"}
        sae = SAE.load_from_disk(folder)
        if norm == "expected_average_only_in":
            scaler = folder / "activation_scaler.json"
            scaler.write_text(json.dumps({"scaling_factor": 0.37, "has_whitening": False}))
            files["activation_scaler.json"] = scaler
            sae.fold_activation_norm_scaling_factor(0.37)
        tags = [architecture, norm, "b_dec" if b_dec else "no_b_dec"]
        tags += [f"k{extra['k']}"] if "k" in extra else []
        tags += ["rescaled"] if extra.get("rescale_acts_by_decoder_norm") else []
        facts = {"architecture": architecture, "layer": 12, "model": "gemma-2-2b", "prepend_bos": True}
        facts["declared_l0"] = extra.get("k")
        write_case("saelens_" + "_".join(tags), files, sae, inputs(g), facts)


def batchtopk_cases(tmp: Path) -> None:
    """Finished (saved as JumpReLU) and raw training checkpoints of BatchTopK."""
    for i, (kind, norm, rescale) in enumerate(
        [
            ("batchtopk", "none", True),
            ("batchtopk", "none", False),
            ("batchtopk", "expected_average_only_in", True),
            ("batchtopk", "expected_average_only_in", False),
            ("matryoshka_batchtopk", "none", True),
        ]
    ):
        g = torch.Generator().manual_seed(200 + i)
        more = {"matryoshka_widths": [10, D_SAE]} if kind == "matryoshka_batchtopk" else {}
        cfg_cls = MatryoshkaBatchTopKTrainingSAEConfig if more else BatchTopKTrainingSAEConfig
        sae_cls = MatryoshkaBatchTopKTrainingSAE if more else BatchTopKTrainingSAE
        cfg = cfg_cls(
            d_in=D_IN,
            d_sae=D_SAE,
            k=6.5,
            rescale_acts_by_decoder_norm=rescale,
            normalize_activations=norm,
            metadata=metadata(),
            **more,
        )
        sae = sae_cls(cfg)
        state = weights(g, "batchtopk")
        sae.load_state_dict({**state, "topk_threshold": torch.tensor(0.8, dtype=torch.double)})
        raw, done = tmp / f"btk_raw_{i}", tmp / f"btk_done_{i}"
        sae.save_model(raw)
        files = {"cfg.json": raw / "cfg.json", "sae_weights.safetensors": raw / "sae_weights.safetensors"}
        if norm == "expected_average_only_in":
            scaler = raw / "activation_scaler.json"
            scaler.write_text(json.dumps({"scaling_factor": 0.37, "has_whitening": False}))
            files["activation_scaler.json"] = scaler
            sae.fold_activation_norm_scaling_factor(0.37)
        sae.save_inference_model(done)
        finished = SAE.load_from_disk(done)
        x = inputs(g)
        facts = {"layer": 12, "model": "gemma-2-2b", "prepend_bos": True, "declared_l0": 6.5}
        tag = f"{kind}_{norm}" + ("_rescaled" if rescale else "")
        write_case(f"saelens_{tag}_raw", files, finished, x, {"architecture": "batchtopk", **facts})
        files = {"cfg.json": done / "cfg.json", "sae_weights.safetensors": done / "sae_weights.safetensors"}
        write_case(f"saelens_{tag}_finished", files, finished, x, {"architecture": "jumprelu", **facts})


def flat_cases(tmp: Path) -> None:
    """cfg.json as SAELens wrote it before v6: one flat object."""
    training = {
        "dataset_path": "Skylion007/openwebtext",
        "is_dataset_tokenized": False,
        "use_ghost_grads": False,
        "l1_coefficient": 8e-5,
        "lr": 4e-4,
        "expansion_factor": 32,
        "feature_sampling_window": 1000,
        "checkpoint_path": "checkpoints/abc",
        "device": "cpu",
        "seed": 42,
        "context_size": 128,
    }
    v3 = {
        "model_name": "gpt2-small",
        "hook_point": "blocks.8.hook_resid_pre",
        "hook_point_layer": 8,
        "hook_point_head_index": None,
        "d_in": D_IN,
        "d_sae": D_SAE,
        "dtype": "torch.float32",
        **training,
    }
    v5 = {
        "model_name": "gpt2-small",
        "hook_name": "blocks.7.hook_resid_post",
        "hook_layer": 7,
        "hook_head_index": None,
        "d_in": D_IN,
        "d_sae": D_SAE,
        "dtype": "float32",
        "device": "cpu",
        "activation_fn_str": "relu",
        "activation_fn_kwargs": {},
        "apply_b_dec_to_input": False,
        "finetuning_scaling_factor": False,
        "normalize_activations": "none",
        "prepend_bos": True,
        "context_size": 128,
        "dataset_path": "Skylion007/openwebtext",
        "dataset_trust_remote_code": True,
        "sae_lens_training_version": "5.0.0",
        "model_from_pretrained_kwargs": {},
        "neuronpedia_id": "gpt2-small/8-res",
    }
    ones = {"scaling_factor": torch.ones(D_SAE)}
    cases = {
        # the layout of GPT-2's res-jb; its model is the one with centred writing weights
        "v3_res_jb": (v3 | {"model_from_pretrained_kwargs": {"center_writing_weights": True}}, "standard", {}, True),
        "v3_plain": (v3 | {"apply_b_dec_to_input": False, "normalize_activations": False}, "standard", ones, False),
        "v5_standard": (v5 | {"architecture": "standard", "apply_b_dec_to_input": True}, "standard", {}, False),
        "v5_topk": (v5 | {"activation_fn_str": "topk", "activation_fn_kwargs": {"k": 5}}, "topk", {}, False),
        "v5_jumprelu": (v5 | {"architecture": "jumprelu"}, "jumprelu", {}, False),
        "v5_gated_bf16": (v5 | {"architecture": "gated", "dtype": "bfloat16"}, "gated", {}, False),
        "v5_layer_norm": (v5 | {"architecture": "standard", "normalize_activations": "layer_norm"}, "standard", {}, False),
    }
    for i, (name, (cfg, architecture, more, center)) in enumerate(cases.items()):
        g = torch.Generator().manual_seed(300 + i)
        folder = tmp / f"flat_{i}"
        folder.mkdir()
        state = weights(g, architecture) | more
        if cfg["dtype"] == "bfloat16":
            state = {k: v.bfloat16() for k, v in state.items()}
        save_file(state, folder / "sae_weights.safetensors")
        (folder / "cfg.json").write_text(json.dumps(cfg))
        sae = SAE.load_from_disk(folder, dtype="float32")
        assert sae.cfg.architecture() == architecture
        files = {"cfg.json": folder / "cfg.json", "sae_weights.safetensors": folder / "sae_weights.safetensors"}
        facts = {"architecture": architecture, "layer": 7, "model": "gpt2-small", "prepend_bos": True}
        facts["declared_l0"] = 5 if architecture == "topk" else None
        write_case(f"saelens_flat_{name}", files, sae, inputs(g), facts, center)


def from_loader(loader, cfg: dict, state: dict[str, torch.Tensor]) -> SAE:
    cfg = loaders.handle_config_defaulting(cfg)
    sae = inference_sae(
        {k: cfg[k] for k in ("architecture", "apply_b_dec_to_input", "normalize_activations")}, state
    )
    return sae


def gemma_scope_cases(tmp: Path) -> None:
    """Both Gemma Scopes, through SAELens's own loaders with the hub replaced by a folder."""
    repo = "google/gemma-scope-2b-pt-res"
    inside = "layer_20/width_16k/average_l0_71"
    for i, (name, save) in enumerate([("stored", np.savez), ("deflated", np.savez_compressed)]):
        g = torch.Generator().manual_seed(400 + i)
        folder = tmp / f"gs_{i}" / inside
        folder.mkdir(parents=True)
        state = weights(g, "jumprelu")
        save(folder / "params.npz", **{k: v.numpy() for k, v in state.items()})
        loaders.hf_hub_download = lambda repo_id, filename, subfolder="", **_: str(
            tmp / f"gs_{i}" / subfolder / filename
        )
        cfg, loaded, _ = loaders.gemma_2_sae_huggingface_loader(repo, inside, "cpu", False, {})
        sae = from_loader(None, cfg | {"d_in": D_IN, "d_sae": D_SAE}, loaded)
        facts = {"architecture": "jumprelu", "layer": 20, "model": "gemma-2-2b", "prepend_bos": True}
        facts["declared_l0"] = 71
        files = {f"gemma-scope-2b-pt-res/{inside}/params.npz": folder / "params.npz"}
        write_case(f"gemma_scope_{name}", files, sae, inputs(g), facts)

    repo = "google/gemma-scope-2-270m-pt"
    for i, (name, with_config) in enumerate([("config", True), ("no_config", False)]):
        inside = "resid_post/layer_12_width_16k_l0_medium"
        g = torch.Generator().manual_seed(500 + i)
        folder = tmp / f"gs2_{i}" / inside
        folder.mkdir(parents=True)
        state = {k.lower(): v for k, v in weights(g, "jumprelu").items()}
        save_file(state, folder / "params.safetensors")
        config = {
            "hf_hook_point_in": "model.layers.12.output",
            "hf_hook_point_out": "model.layers.12.output",
            "width": D_SAE,
            "model_name": "google/gemma-3-270m-pt",
            "architecture": "jump_relu",
            "l0": 60,
            "affine_connection": False,
            "type": "sae",
        }
        if with_config:
            (folder / "config.json").write_text(json.dumps(config))

        def download(repo_id, filename, subfolder="", **_):
            path = tmp / f"gs2_{i}" / subfolder / filename
            if not path.exists():
                raise loaders.EntryNotFoundError("not there")
            return str(path)

        loaders.hf_hub_download = download
        loaders.get_safetensors_tensor_shapes = lambda *_: {k: list(v.shape) for k, v in state.items()}
        cfg, loaded, _ = loaders.gemma_3_sae_huggingface_loader(repo, inside, "cpu", False, {})
        sae = from_loader(None, cfg, loaded)
        files = {f"{inside}/params.safetensors": folder / "params.safetensors"}
        if with_config:
            files[f"{inside}/config.json"] = folder / "config.json"
        facts = {"architecture": "jumprelu", "layer": 12, "prepend_bos": True}
        facts["model"] = "google/gemma-3-270m-pt" if with_config else None
        facts["declared_l0"] = 60 if with_config else None
        write_case(f"gemma_scope_2_{name}", files, sae, inputs(g), facts)


def main() -> None:
    torch.set_num_threads(1)
    if OUT.exists():
        shutil.rmtree(OUT)
    with tempfile.TemporaryDirectory() as tmp:
        v6_cases(Path(tmp))
        batchtopk_cases(Path(tmp))
        flat_cases(Path(tmp))
        gemma_scope_cases(Path(tmp))
    size = sum(f.stat().st_size for f in OUT.rglob("*") if f.is_file())
    print(f"{len(list(OUT.iterdir()))} cases, {size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
