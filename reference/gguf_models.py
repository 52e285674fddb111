"""Real models out of GGUF files, dequantised into transformers models and `tokenizers` tokenizers.

The weights are those that saescope's engine computes with: every block dequantised by the `gguf`
package's own code, nothing requantised.
"""

from __future__ import annotations

from pathlib import Path

import gguf
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers import processors
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, LlamaConfig, LlamaForCausalLM

# llama.cpp's tensor names against transformers'.
_NAMES = {
    "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}  # fmt: skip
_NORMS = {
    "llama": {"ffn_norm": "post_attention_layernorm"},
    "gemma3": {
        "post_attention_norm": "post_attention_layernorm",
        "ffn_norm": "pre_feedforward_layernorm",
        "post_ffw_norm": "post_feedforward_layernorm",
    },
}


def _strings(reader: gguf.GGUFReader, key: str) -> list[str]:
    field = reader.fields[key]
    return [bytes(field.parts[i]).decode("utf-8") for i in field.data]


def _value(reader: gguf.GGUFReader, key: str, default=None):
    return reader.fields[key].contents() if key in reader.fields else default


def _unpermute(w: torch.Tensor, heads: int) -> torch.Tensor:
    """Rows of a Llama Q or K projection from llama.cpp's interleaved order to rotate-half order."""
    rows, columns = w.shape
    return w.view(heads, rows // heads // 2, 2, columns).transpose(1, 2).reshape(rows, columns)


def load_gguf(path: Path) -> tuple[torch.nn.Module, Tokenizer, bool]:
    """(model in f32 with eager attention, tokenizer without BOS, whether texts begin with BOS)."""
    reader = gguf.GGUFReader(str(path))
    arch = _value(reader, "general.architecture")
    if arch not in _NORMS:
        raise SystemExit(f"{path}: architecture {arch} is not among {sorted(_NORMS)}")

    def get(key, default=None):
        return _value(reader, f"{arch}.{key}", default)

    common = dict(
        vocab_size=len(reader.fields["tokenizer.ggml.tokens"].data),
        hidden_size=get("embedding_length"),
        intermediate_size=get("feed_forward_length"),
        num_hidden_layers=get("block_count"),
        num_attention_heads=get("attention.head_count"),
        num_key_value_heads=get("attention.head_count_kv"),
        max_position_embeddings=get("context_length"),
        rms_norm_eps=get("attention.layer_norm_rms_epsilon"),
        tie_word_embeddings=True,
    )
    theta = get("rope.freq_base")
    if arch == "llama":
        rope = {"rope_type": "default", "rope_theta": theta}
        cls, cfg = LlamaForCausalLM, LlamaConfig(rope_parameters=rope, **common)
    else:
        head_dim = get("attention.key_length")
        rope = {
            "full_attention": {"rope_type": "default", "rope_theta": theta},
            # Not in the file; every Gemma 3 has it.
            "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
        }
        cfg = Gemma3TextConfig(
            head_dim=head_dim, query_pre_attn_scalar=head_dim, rope_parameters=rope,
            sliding_window=get("attention.sliding_window"), **common,
        )  # fmt: skip
        cls = Gemma3ForCausalLM
    cfg._attn_implementation = "eager"
    state = {}
    for tensor in reader.tensors:
        w = torch.tensor(gguf.quants.dequantize(tensor.data, tensor.tensor_type)).float()
        name = tensor.name.removesuffix(".weight")
        if name == "token_embd":
            state["model.embed_tokens.weight"] = w
            continue
        if name == "output_norm":
            # Gemma's files keep 1 + weight, since llama.cpp's norm adds nothing.
            state["model.norm.weight"] = w - 1 if arch == "gemma3" else w
            continue
        _, layer, part = name.split(".")
        if arch == "llama" and part in ("attn_q", "attn_k"):
            heads = cfg.num_attention_heads if part == "attn_q" else cfg.num_key_value_heads
            w = _unpermute(w, heads)
        if arch == "gemma3" and part.endswith("_norm"):
            w = w - 1
        hf = (_NAMES | _NORMS[arch])[part]
        state[f"model.layers.{layer}.{hf}.weight"] = w
    model = cls(cfg)
    missing, unexpected = model.load_state_dict(state, strict=False)
    if set(missing) - {"lm_head.weight"} or unexpected:
        raise SystemExit(f"{path}: missing {missing}, unexpected {unexpected}")
    model.tie_weights()
    tok, bos = _tokenizer(reader)
    return model.eval(), tok, bos


def _tokenizer(reader: gguf.GGUFReader) -> tuple[Tokenizer, bool]:
    tokens = _strings(reader, "tokenizer.ggml.tokens")
    types = _value(reader, "tokenizer.ggml.token_type")
    vocab = {t: i for i, t in enumerate(tokens)}
    kind = _value(reader, "tokenizer.ggml.model")
    bos = bool(_value(reader, "tokenizer.ggml.add_bos_token", False))
    if kind == "gpt2":
        merges = [tuple(m.split(" ")) for m in _strings(reader, "tokenizer.ggml.merges")]
        tok = Tokenizer(models.BPE(vocab=vocab, merges=merges))
        # What `tokenizer.ggml.pre = smollm` stands for.
        tok.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False),
            ]
        )
        tok.decoder = decoders.ByteLevel()
    else:
        scores = _value(reader, "tokenizer.ggml.scores")
        merges = _merges_from_scores(vocab, scores)
        tok = Tokenizer(
            models.BPE(
                vocab=vocab, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True
            )
        )
        tok.normalizer = normalizers.Replace(" ", "▁")
        tok.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
        tok.decoder = decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
        )
    # 3 is llama.cpp's "control", 4 its "user defined".
    tok.add_special_tokens([AddedToken(t, special=True) for t, k in zip(tokens, types) if k == 3])
    tok.add_tokens([AddedToken(t, normalized=False) for t, k in zip(tokens, types) if k == 4])
    if bos:
        first = tokens[_value(reader, "tokenizer.ggml.bos_token_id")]
        tok.post_processor = processors.TemplateProcessing(
            single=f"{first} $A", special_tokens=[(first, vocab[first])]
        )
    return tok, bos


def _merges_from_scores(vocab: dict[str, int], scores: list[float]) -> list[tuple[str, str]]:
    """BPE merges of a SentencePiece vocabulary: every split into two pieces, best piece first."""
    merges = []
    for piece, index in vocab.items():
        splits = [
            (piece[:i], piece[i:])
            for i in range(1, len(piece))
            if piece[:i] in vocab and piece[i:] in vocab
        ]
        splits.sort(key=lambda s: (vocab[s[0]], vocab[s[1]]))
        merges += [(scores[index], index, s) for s in splits]
    merges.sort(key=lambda m: (-m[0], m[1]))
    return [m[2] for m in merges]
