"""SAEs for the tiny models, each saved in the on-disk form that its family is published in.

Encoders are random; thresholds are set so that about a tenth of the features fire, and decoders
are fitted by ridge regression, so that the reconstruction explains some of the variance.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from sae_lens import SAE
from sae_lens.loading import pretrained_sae_loaders as loaders
from sae_lens.saes.batchtopk_sae import BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig
from sae_lens.saes.gated_sae import GatedSAE, GatedSAEConfig
from sae_lens.saes.jumprelu_sae import JumpReLUSAE, JumpReLUSAEConfig
from sae_lens.saes.sae import SAEMetadata
from sae_lens.saes.standard_sae import StandardSAE, StandardSAEConfig
from sae_lens.saes.topk_sae import TopKSAE, TopKSAEConfig

WIDTHS = (96, 128, 80)  # unlike each other, so that "the shorter width" means something
RATE = 0.09


def _encoder(x: torch.Tensor, width: int, gen: torch.Generator):
    """Random encoder and biases for activations `x` [N, d] (mean taken out by b_enc)."""
    d = x.shape[1]
    w = torch.randn(d, width, generator=gen) / x.std(0).mean() / d**0.5
    b = -(x.mean(0) @ w) + 0.05 * torch.randn(width, generator=gen)
    return w, b


def _threshold(pre: torch.Tensor, rate: float) -> torch.Tensor:
    """Per-feature threshold that about `rate` of the rows pass, in the widest gap near there.

    In a gap, so that rounding decides no feature of these texts.
    """
    ordered = pre.sort(0, descending=True).values
    k = max(1, int(rate * len(pre)))
    lo, hi = max(0, k - 4), min(len(pre) - 2, k + 4)
    at = (ordered[lo : hi + 1] - ordered[lo + 1 : hi + 2]).argmax(0) + lo
    column = torch.arange(pre.shape[1])
    return ((ordered[at, column] + ordered[at + 1, column]) / 2).clamp(min=1e-2)


def _decoder(acts: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Ridge fit acts [N, F] → target [N, d]; rows of features that never fire get unit noise."""
    a, y = acts.double(), target.double()
    gram = a.T @ a + 0.3 * torch.eye(a.shape[1], dtype=torch.float64)
    w = torch.linalg.solve(gram, a.T @ y)
    dead = w.norm(dim=1) < 1e-6
    w[dead] = torch.eye(a.shape[1], y.shape[1], dtype=torch.float64)[dead]
    return w.float().contiguous()


def _fit_decoder(sae: SAE, x: torch.Tensor) -> None:
    sae.W_dec.data = torch.ones_like(sae.W_dec)
    sae.b_dec.data = x.mean(0) if not sae.cfg.apply_b_dec_to_input else sae.b_dec.data
    with torch.no_grad():
        acts = sae.encode(x)
        target = sae.run_time_activation_norm_fn_in(x) - sae.b_dec
        sae.W_dec.data = _decoder(acts, target)
        for name in ("x_norm_coeff", "ln_mu", "ln_std"):
            if hasattr(sae, name):
                delattr(sae, name)


def _metadata(model: str, layer: int, bos: bool) -> SAEMetadata:
    return SAEMetadata(
        model_name=model, hook_name=f"blocks.{layer}.hook_resid_post", prepend_bos=bos,
        context_size=64,
    )  # fmt: skip


def _jumprelu(x: torch.Tensor, width: int, gen: torch.Generator) -> JumpReLUSAE:
    """Gemma Scope's kind: b_dec stays out of the encoder's input."""
    sae = JumpReLUSAE(JumpReLUSAEConfig(x.shape[1], width, apply_b_dec_to_input=False))
    w, b = _encoder(x, width, gen)
    sae.W_enc.data, sae.b_enc.data = w, b
    sae.threshold.data = _threshold(x @ w + b, RATE)
    _fit_decoder(sae, x)
    return sae


def gemma_scope(root: Path, layer: int, index: int, x: torch.Tensor, gen) -> tuple[str, SAE]:
    """Gemma Scope: params.npz, lower-case members, no config beside it."""
    sae = _jumprelu(x, WIDTHS[index], gen)
    l0 = round(float((sae.encode(x) > 0).sum(1).float().mean()))
    folder = root / f"layer_{layer}" / f"width_{WIDTHS[index]}" / f"average_l0_{l0}"
    folder.mkdir(parents=True, exist_ok=True)
    names = ("W_enc", "W_dec", "b_enc", "b_dec", "threshold")
    state = {n: getattr(sae, n).detach().numpy() for n in names}
    np.savez(folder / "params.npz", **{n.replace("W_", "w_"): v for n, v in state.items()})
    # Read back as SAELens's own Gemma Scope loader does (which knows only the real widths).
    with np.load(folder / "params.npz") as data:
        back = {("W_" + k[2:] if k.startswith("w_") else k): torch.tensor(data[k]) for k in data}
    fresh = JumpReLUSAE(JumpReLUSAEConfig(x.shape[1], WIDTHS[index], apply_b_dec_to_input=False))
    fresh.load_state_dict(back)
    return str((folder / "params.npz").relative_to(root)), fresh


def gemma_scope_2(root: Path, layer: int, index: int, x: torch.Tensor, gen) -> tuple[str, SAE]:
    """Gemma Scope 2: config.json and params.safetensors with lower-case names."""
    sae = _jumprelu(x, WIDTHS[index], gen)
    l0 = round(float((sae.encode(x) > 0).sum(1).float().mean()))
    name = f"resid_post/layer_{layer}_width_{WIDTHS[index]}_l0_small"
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "hf_hook_point_in": f"model.layers.{layer}.output",
        "hf_hook_point_out": f"model.layers.{layer}.output",
        "width": WIDTHS[index], "model_name": "gemma-v3-270m-pt", "architecture": "jump_relu",
        "l0": l0, "affine_connection": False, "type": "sae",
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    names = ("W_enc", "W_dec", "b_enc", "b_dec", "threshold")
    state = {n.lower(): getattr(sae, n).detach().contiguous() for n in names}
    save_file(state, folder / "params.safetensors")

    # Through SAELens's own loader, with the hub's two look-ups turned to the local folder.
    def local(repo_id, filename, subfolder=None, **_):
        return str(root / (f"{subfolder}/{filename}" if subfolder else filename))

    kept = loaders.hf_hub_download, loaders.get_safetensors_tensor_shapes
    loaders.hf_hub_download = local
    loaders.get_safetensors_tensor_shapes = lambda *_: {n: list(v.shape) for n, v in state.items()}
    try:
        cfg, back, _ = loaders.gemma_3_sae_huggingface_loader("tiny/gemma-3", name)
    finally:
        loaders.hf_hub_download, loaders.get_safetensors_tensor_shapes = kept
    assert cfg["architecture"] == "jumprelu" and not cfg["apply_b_dec_to_input"]
    fresh = JumpReLUSAE(JumpReLUSAEConfig(cfg["d_in"], cfg["d_sae"], apply_b_dec_to_input=False))
    fresh.load_state_dict(back)
    return name, fresh


def sae_lens_llama(root: Path, layer: int, index: int, x: torch.Tensor, gen) -> tuple[str, SAE]:
    """SAELens folders: BatchTopK in its inference form, JumpReLU, TopK with norm rescaling."""
    name = f"layer_{layer}"
    width, d = WIDTHS[index], x.shape[1]
    meta = _metadata("tiny-llama", layer, True)
    b_dec = x.mean(0)
    if index == 0:
        cfg = BatchTopKTrainingSAEConfig(
            d, width, k=9, apply_b_dec_to_input=True, normalize_activations="none",
            rescale_acts_by_decoder_norm=True, metadata=meta,
        )  # fmt: skip
        sae = BatchTopKTrainingSAE(cfg)
        sae.b_dec.data = b_dec
        w, b = _encoder(x - b_dec, width, gen)
        sae.W_enc.data, sae.b_enc.data = w, b
        pre = ((x - b_dec) @ w + b).relu()
        acts = pre * (pre > torch.quantile(pre.flatten(), 1 - RATE))
        sae.W_dec.data = _decoder(acts, x - b_dec)
        # What the trainer's moving average would converge to: the least value that BatchTopK keeps.
        scaled = (pre * sae.W_dec.norm(dim=-1)).flatten()
        kept = torch.topk(scaled, 9 * len(x)).values
        sae.topk_threshold = kept.min().double()
        sae.save_inference_model(root / name)
    elif index == 1:
        sae = JumpReLUSAE(JumpReLUSAEConfig(d, width, apply_b_dec_to_input=True, metadata=meta))
        sae.b_dec.data = b_dec
        w, b = _encoder(x - b_dec, width, gen)
        sae.W_enc.data, sae.b_enc.data = w, b
        sae.threshold.data = _threshold((x - b_dec) @ w + b, RATE)
        _fit_decoder(sae, x)
        sae.save_model(root / name)
    else:
        sae = TopKSAE(
            TopKSAEConfig(d, width, k=8, rescale_acts_by_decoder_norm=True, metadata=meta)
        )
        sae.b_dec.data = b_dec
        w, b = _encoder(x - b_dec, width, gen)
        sae.W_enc.data, sae.b_enc.data = w, b
        _fit_decoder(sae, x)
        sae.save_model(root / name)
    return name, SAE.load_from_disk(root / name)


# What a 2024 SAELens wrote (flat, before 6.0): no architecture, no metadata table.
_OLD_CFG = {
    "model_name": "gpt2-small", "hook_point": None, "hook_point_layer": None,
    "hook_point_head_index": None, "dataset_path": "Skylion007/openwebtext",
    "is_dataset_tokenized": False, "context_size": 64, "use_cached_activations": False,
    "cached_activations_path": None, "d_in": None, "n_batches_in_buffer": 128,
    "total_training_tokens": 300000000, "store_batch_size": 32, "device": "cpu", "seed": 42,
    "dtype": "torch.float32", "b_dec_init_method": "geometric_median", "expansion_factor": 2.4,
    "from_pretrained_path": None, "l1_coefficient": 8e-05, "lr": 0.0004,
    "lr_scheduler_name": None, "lr_warm_up_steps": 5000, "train_batch_size": 4096,
    "use_ghost_grads": False, "feature_sampling_window": 500, "feature_sampling_method": None,
    "resample_batches": 1028, "feature_reinit_scale": 0.2, "dead_feature_window": 5000,
    "dead_feature_estimation_method": "no_fire", "dead_feature_threshold": 1e-06,
    "log_to_wandb": False, "checkpoint_path": "checkpoints", "d_sae": None,
    "tokens_per_buffer": 67108864, "prepend_bos": True,
}  # fmt: skip


def sae_lens_gpt2(root: Path, layer: int, index: int, x: torch.Tensor, gen) -> tuple[str, SAE]:
    """SAELens folders: standard with the old flat cfg.json, gated, standard with layer_norm."""
    name = f"blocks.{layer}.hook_resid_post"
    width, d = WIDTHS[index], x.shape[1]
    meta = _metadata("gpt2-small", layer, True)
    if index == 1:
        sae = GatedSAE(GatedSAEConfig(d, width, apply_b_dec_to_input=True, metadata=meta))
        sae.b_dec.data = x.mean(0)
        y = x - sae.b_dec
        w, b = _encoder(y, width, gen)
        pre = y @ w + b
        sae.W_enc.data = w
        sae.b_gate.data = b - _threshold(pre, RATE)
        sae.r_mag.data = 0.3 * torch.randn(width, generator=gen)
        sae.b_mag.data = b * sae.r_mag.exp() + 0.1 * torch.randn(width, generator=gen)
        _fit_decoder(sae, x)
    else:
        norm = "none" if index == 0 else "layer_norm"
        sae = StandardSAE(
            StandardSAEConfig(
                d, width, apply_b_dec_to_input=True, normalize_activations=norm, metadata=meta
            )
        )
        y = sae.run_time_activation_norm_fn_in(x)
        sae.b_dec.data = y.mean(0)
        y = y - sae.b_dec
        w, b = _encoder(y, width, gen)
        sae.W_enc.data = w
        sae.b_enc.data = b - _threshold(y @ w + b, RATE)
        _fit_decoder(sae, x)
    sae.save_model(root / name)
    if index == 0:
        cfg = _OLD_CFG | {
            "hook_point": name, "hook_point_layer": layer, "d_in": d, "d_sae": width,
        }  # fmt: skip
        (root / name / "cfg.json").write_text(json.dumps(cfg))
    return name, SAE.load_from_disk(root / name)


def margins(sae: SAE, x: torch.Tensor) -> torch.Tensor:
    """How far each feature's pre-activation is above (or below) what makes it fire, [N, F]."""
    with torch.no_grad():
        z = sae.process_sae_in(x)
        if isinstance(sae, GatedSAE):
            gate = z @ sae.W_enc + sae.b_gate
            return torch.minimum(gate, z @ (sae.W_enc * sae.r_mag.exp()) + sae.b_mag)
        pre = z @ sae.W_enc + sae.b_enc
        if isinstance(sae, JumpReLUSAE):
            return pre - sae.threshold.clamp(min=0)
        if isinstance(sae, TopKSAE):
            pre = pre * (sae.W_dec.norm(dim=-1) if sae.cfg.rescale_acts_by_decoder_norm else 1)
            top = pre.topk(sae.cfg.k + 1, dim=-1).values
            rival = torch.where(pre >= top[:, -2:-1], top[:, -1:], top[:, -2:-1])
            return torch.minimum(pre - rival, pre)
        return pre
