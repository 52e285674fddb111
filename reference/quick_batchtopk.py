"""SAELens's BatchTopK training SAE, computing the same numbers with fewer passes over memory.

On a CPU the trainer's time goes into element-wise passes over the [batch, d_sae] activations
rather than into its matrix products. Here the decoder norms are multiplied into the weights
instead of the activations, and the flat top-k runs over candidates only. Saving, the threshold and
the losses are SAELens's own.
"""

from __future__ import annotations

import torch
from sae_lens.saes.batchtopk_sae import (
    BatchTopK,
    BatchTopKTrainingSAE,
    BatchTopKTrainingSAEConfig,
)


class QuickBatchTopK(BatchTopK):
    """BatchTopK whose top-k looks only at values above a bound taken from a sample."""

    least: torch.Tensor | None = None
    kept: torch.Tensor | None = None

    def counts(self, d_sae: int, acts: torch.Tensor) -> torch.Tensor:
        """How often each feature fired in the last batch, [d_sae]."""
        if self.kept is None:
            return (acts > 0).sum(0).float()
        return torch.bincount(self.kept % d_sae, minlength=d_sae).float()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        flat = x.flatten()
        k = int(self.k * x.shape[:-1].numel())
        with torch.no_grad():
            values = flat.detach()
            sample = values[::257]
            # A quarter more than the expected share, so that the candidates nearly always hold k.
            rank = min(len(sample), int(1.25 * k / len(flat) * len(sample)) + 8)
            candidates = (values > sample.topk(rank).values[-1]).nonzero().flatten()
            if len(candidates) < k:
                self.least = self.kept = None
                return super().forward(x)
            top = values[candidates].topk(k)
            index = candidates[top.indices]
            self.least = top.values[top.values > 0].min()
            self.kept = index[top.values > 0]
        return torch.zeros_like(flat).scatter(-1, index, flat[index].relu()).view_as(x)


class QuickBatchTopKTrainingSAE(BatchTopKTrainingSAE):
    """[`BatchTopKTrainingSAE`] with decoder norms folded into the weights of each step."""

    def __init__(self, cfg: BatchTopKTrainingSAEConfig):
        super().__init__(cfg)
        assert cfg.rescale_acts_by_decoder_norm

    def get_activation_fn(self):
        return QuickBatchTopK(self.cfg.k)

    def encode_with_hidden_pre(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        norm = self.W_dec.norm(dim=-1)
        hidden_pre = torch.addmm(self.b_enc * norm, self.process_sae_in(x), self.W_enc * norm)
        return self.activation_fn(hidden_pre), hidden_pre

    def decode(self, feature_acts: torch.Tensor) -> torch.Tensor:
        return feature_acts @ (self.W_dec / self.W_dec.norm(dim=-1, keepdim=True)) + self.b_dec

    @torch.no_grad()
    def update_topk_threshold(self, acts_topk: torch.Tensor) -> None:
        least = self.activation_fn.least
        if least is None:
            return super().update_topk_threshold(acts_topk)
        lr = self.cfg.topk_threshold_lr
        least = least.to(self.topk_threshold.dtype)
        self.topk_threshold = (1 - lr) * self.topk_threshold + lr * least
