"""Tiny random checkpoints and tokenizers, laid out as their families are on the model hub.

Weights are random but not meek: norm weights differ from 0 and 1, attention is peaked, logits pass
the soft caps, and norm epsilons are large, so that an engine which forgets any of these is found
out.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers import processors, trainers
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
)

# Public-domain text (Carroll 1865, Melville 1851, Lincoln 1863), enough to learn a few merges from.
CORPUS = [
    "Alice was beginning to get very tired of sitting by her sister on the bank, and of having "
    "nothing to do: once or twice she had peeped into the book her sister was reading, but it had "
    "no pictures or conversations in it, 'and what is the use of a book,' thought Alice 'without "
    "pictures or conversations?'",
    "Call me Ishmael. Some years ago - never mind how long precisely - having little or no money "
    "in my purse, and nothing particular to interest me on shore, I thought I would sail about a "
    "little and see the watery part of the world. It is a way I have of driving off the spleen, "
    "and regulating the circulation.",
    "Four score and seven years ago our fathers brought forth on this continent, a new nation, "
    "conceived in Liberty, and dedicated to the proposition that all men are created equal. Now "
    "we are engaged in a great civil war, testing whether that nation, or any nation so conceived "
    "and so dedicated, can long endure.",
    "I am the sea.  I was the sea.  In 1851  the white whale was a whale,  and in 1865  Alice was "
    "  in   the   well.",
]


def _gpt2_tokenizer() -> Tokenizer:
    """Byte-level BPE as in GPT-2: no post-processor template, BOS is the family's rule."""
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tok.train_from_iterator(CORPUS, trainer)
    tok.post_processor = processors.ByteLevel(trim_offsets=False)
    return tok


def _llama_tokenizer(bos: bool) -> Tokenizer:
    """Byte-level BPE; with `bos` as in Llama 3 (template adds BOS), without as in SmolLM2."""
    first = "<|begin_of_text|>" if bos else "<|endoftext|>"
    tok = Tokenizer(models.BPE(ignore_merges=bos))
    if bos:
        pattern = (
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
            r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        )
        tok.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(pattern), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
    else:
        tok.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
            ]
        )
    tok.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=[first, "<|end_of_text|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tok.train_from_iterator(CORPUS, trainer)
    if bos:
        tok.post_processor = processors.Sequence(
            [
                processors.ByteLevel(trim_offsets=False),
                processors.TemplateProcessing(
                    single=f"{first} $A",
                    pair=f"{first} $A {first}:1 $B:1",
                    special_tokens=[(first, tok.token_to_id(first))],
                ),
            ]
        )
    return tok


def _gemma_tokenizer() -> Tokenizer:
    """SentencePiece-style BPE: spaces become U+2581, unseen characters fall back to bytes."""
    specials = ["<pad>", "<eos>", "<bos>", "<unk>"]
    byte_tokens = [f"<0x{b:02X}>" for b in range(256)]
    learn = Tokenizer(models.BPE())
    learn.normalizer = normalizers.Replace(" ", "▁")
    # Learning stops at word borders, as SentencePiece's does; the finished tokenizer has none.
    learn.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    trainer = trainers.BpeTrainer(vocab_size=220, special_tokens=[], show_progress=False)
    learn.train_from_iterator(CORPUS, trainer)
    model = json.loads(learn.to_str())["model"]
    vocab = {t: i for i, t in enumerate(specials + byte_tokens)}
    # Runs of spaces are single tokens in Gemma's vocabulary, which is what lets a trailing space
    # of a prompt merge with the space that joins it to its completion.
    extra = ["▁▁"]
    for token in sorted(model["vocab"], key=model["vocab"].get) + extra:
        vocab.setdefault(token, len(vocab))
    merges = [("▁", "▁")] + [tuple(m) for m in model["merges"]]
    tok = Tokenizer(
        models.BPE(
            vocab=vocab, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True
        )
    )
    tok.normalizer = normalizers.Replace(" ", "▁")
    tok.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tok.add_special_tokens(specials)
    tok.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    tok.post_processor = processors.TemplateProcessing(
        single="<bos> $A",
        pair="<bos> $A <bos>:1 $B:1",
        special_tokens=[("<bos>", tok.token_to_id("<bos>"))],
    )
    return tok


def _fill(model: torch.nn.Module, gen: torch.Generator, norm_offset: float) -> None:
    """Fills every parameter from `gen`, in the order of its sorted names.

    `norm_offset` is what the family adds to a norm weight itself (1 for Gemma).
    """
    with torch.no_grad():
        for name, p in sorted(model.named_parameters()):
            noise = torch.randn(p.shape, generator=gen)
            if "norm" in name or ".ln_" in name:
                p.copy_(0.25 * noise if name.endswith("bias") else 1 - norm_offset + 0.3 * noise)
            elif name.endswith("bias"):
                p.copy_(0.2 * noise)
            elif "embed" in name or "wte" in name or "lm_head" in name:
                p.copy_(0.6 * noise)
            elif "wpe" in name:
                p.copy_(0.3 * noise)
            else:
                # GPT-2's Conv1D keeps [in, out], a Linear [out, in].
                fan_in = p.shape[0] if ".c_" in name else p.shape[1]
                peaked = any(k in name for k in ("q_proj", "k_proj", "c_attn"))
                p.copy_(noise * (1.6 if peaked else 1.0) / fan_in**0.5)


def _gemma2(vocab: int):
    cfg = Gemma2Config(
        vocab_size=vocab, hidden_size=32, intermediate_size=64, num_hidden_layers=5,
        num_attention_heads=4, num_key_value_heads=2, head_dim=16, query_pre_attn_scalar=24,
        sliding_window=8, max_position_embeddings=128, attn_logit_softcapping=3.0,
        final_logit_softcapping=4.0, rms_norm_eps=1e-3,
    )  # fmt: skip
    hub = {
        "architectures": ["Gemma2ForCausalLM"], "attention_bias": False, "attention_dropout": 0.0,
        "attn_logit_softcapping": 3.0, "bos_token_id": 2, "cache_implementation": "hybrid",
        "eos_token_id": 1, "final_logit_softcapping": 4.0, "head_dim": 16,
        "hidden_act": "gelu_pytorch_tanh", "hidden_activation": "gelu_pytorch_tanh",
        "hidden_size": 32, "initializer_range": 0.02, "intermediate_size": 64,
        "max_position_embeddings": 128, "model_type": "gemma2", "num_attention_heads": 4,
        "num_hidden_layers": 5, "num_key_value_heads": 2, "pad_token_id": 0,
        "query_pre_attn_scalar": 24, "rms_norm_eps": 0.001, "rope_theta": 10000.0,
        "sliding_window": 8, "sliding_window_size": 8, "torch_dtype": "float32",
        "transformers_version": "4.42.4", "use_cache": True, "vocab_size": vocab,
    }  # fmt: skip
    return Gemma2ForCausalLM, cfg, hub, 1.0


def _gemma3(vocab: int, linear: bool):
    rope = {
        "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
        "full_attention": {"rope_type": "default", "rope_theta": 1000000.0},
    }
    if linear:
        rope["full_attention"] |= {"rope_type": "linear", "factor": 8.0}
    cfg = Gemma3TextConfig(
        vocab_size=vocab, hidden_size=32, intermediate_size=64, num_hidden_layers=7,
        num_attention_heads=4, num_key_value_heads=1, head_dim=16, query_pre_attn_scalar=24,
        sliding_window=8, max_position_embeddings=256, rms_norm_eps=1e-3, rope_parameters=rope,
    )  # fmt: skip
    hub = {
        "architectures": ["Gemma3ForCausalLM"], "attention_bias": False, "attention_dropout": 0.0,
        "attn_logit_softcapping": None, "bos_token_id": 2, "cache_implementation": "hybrid",
        "eos_token_id": [1, 3], "final_logit_softcapping": None, "head_dim": 16,
        "hidden_activation": "gelu_pytorch_tanh", "hidden_size": 32, "initializer_range": 0.02,
        "intermediate_size": 64, "max_position_embeddings": 256, "model_type": "gemma3_text",
        "num_attention_heads": 4, "num_hidden_layers": 7, "num_key_value_heads": 1,
        "pad_token_id": 0, "query_pre_attn_scalar": 24, "rms_norm_eps": 0.001,
        "rope_local_base_freq": 10000,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"} if linear else None,
        "rope_theta": 1000000, "sliding_window": 8, "sliding_window_pattern": 6,
        "torch_dtype": "bfloat16", "transformers_version": "4.50.0.dev0", "use_cache": True,
        "vocab_size": vocab,
    }  # fmt: skip
    return Gemma3ForCausalLM, cfg, hub, 1.0


def _llama(vocab: int, llama3: bool):
    common = dict(
        vocab_size=vocab, hidden_size=48, intermediate_size=64, num_hidden_layers=5,
        num_attention_heads=6, num_key_value_heads=2, max_position_embeddings=256,
        rms_norm_eps=2e-3, bos_token_id=0, eos_token_id=1,
        tie_word_embeddings=not llama3, attention_bias=llama3, mlp_bias=llama3,
    )  # fmt: skip
    rope = {"rope_type": "default", "rope_theta": 100000.0}
    if llama3:
        # Small enough that the four frequencies of head_dim 8 fall into all three bands.
        rope = {
            "rope_type": "llama3", "rope_theta": 500.0, "factor": 8.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 64,
        }  # fmt: skip
    cfg = LlamaConfig(rope_parameters=rope, **common)
    hub = {
        "architectures": ["LlamaForCausalLM"], "attention_bias": llama3, "attention_dropout": 0.0,
        "bos_token_id": 0, "eos_token_id": 1, "hidden_act": "silu", "hidden_size": 48,
        "initializer_range": 0.041666666666666664, "intermediate_size": 64, "is_llama_config": True,
        "max_position_embeddings": 256, "mlp_bias": llama3, "model_type": "llama",
        "num_attention_heads": 6, "num_hidden_layers": 5, "num_key_value_heads": 2,
        "pad_token_id": 1, "pretraining_tp": 1, "rms_norm_eps": 0.002, "rope_interleaved": False,
        "rope_scaling": None, "rope_theta": 100000, "tie_word_embeddings": not llama3,
        "torch_dtype": "float32", "transformers_version": "4.42.3", "use_cache": True,
        "vocab_size": vocab,
    }  # fmt: skip
    return LlamaForCausalLM, cfg, hub, 0.0


def _gpt2(vocab: int):
    cfg = GPT2Config(
        vocab_size=vocab, n_embd=40, n_layer=4, n_head=5, n_positions=96, bos_token_id=0,
        eos_token_id=0, layer_norm_epsilon=1e-3, tie_word_embeddings=True,
    )  # fmt: skip
    hub = {
        "activation_function": "gelu_new", "architectures": ["GPT2LMHeadModel"],
        "attn_pdrop": 0.1, "bos_token_id": 0, "embd_pdrop": 0.1, "eos_token_id": 0,
        "initializer_range": 0.02, "layer_norm_epsilon": 0.001, "model_type": "gpt2",
        "n_ctx": 96, "n_embd": 40, "n_head": 5, "n_layer": 4, "n_positions": 96,
        "resid_pdrop": 0.1, "summary_activation": None, "summary_first_dropout": 0.1,
        "summary_proj_to_labels": True, "summary_type": "cls_index", "summary_use_proj": True,
        "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50}},
        "vocab_size": vocab,
    }  # fmt: skip
    return GPT2LMHeadModel, cfg, hub, 0.0


# case: (tokenizer, architecture, stored dtype, config style, shards)
CASES = {
    "gemma2": (_gemma_tokenizer, _gemma2, torch.float32, "hub", 1),
    "gemma2_bf16": (_gemma_tokenizer, _gemma2, torch.bfloat16, "v5", 1),
    "gemma3": (_gemma_tokenizer, lambda v: _gemma3(v, False), torch.float32, "v5", 1),
    "gemma3_linear_f16": (_gemma_tokenizer, lambda v: _gemma3(v, True), torch.float16, "hub", 1),
    "llama": (lambda: _llama_tokenizer(True), lambda v: _llama(v, False), torch.float32, "hub", 1),
    "llama3_sharded_bf16": (
        lambda: _llama_tokenizer(False), lambda v: _llama(v, True), torch.bfloat16, "v5", 3,
    ),  # fmt: skip
    "gpt2": (_gpt2_tokenizer, _gpt2, torch.float32, "hub", 1),
    "gpt2_prefixed_f16": (_gpt2_tokenizer, _gpt2, torch.float16, "v5", 1),
}


def build(case: str, folder: Path, seed: int) -> None:
    """Writes `case` as a Hugging Face folder: config.json, tokenizer.json, safetensors."""
    tokenizer, architecture, dtype, style, shards = CASES[case]
    folder.mkdir(parents=True, exist_ok=True)
    tok = tokenizer()
    tok.save(str(folder / "tokenizer.json"), pretty=False)
    cls, cfg, hub, norm_offset = architecture(tok.get_vocab_size())
    model = cls(cfg).to(torch.float32)
    _fill(model, torch.Generator().manual_seed(seed), norm_offset)
    model.tie_weights()
    model.to(dtype)
    if case == "gpt2":
        # The hub's gpt2 file has no `transformer.` prefix, no lm_head, and the causal masks.
        n = cfg.n_positions
        state = {
            k.removeprefix("transformer."): v.detach().contiguous()
            for k, v in model.state_dict().items()
            if k != "lm_head.weight"
        }
        for layer in range(cfg.n_layer):
            mask = torch.tril(torch.ones(n, n)).view(1, 1, n, n)
            state[f"h.{layer}.attn.bias"] = mask
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    else:
        size = sum(p.numel() * p.element_size() for p in model.parameters())
        model.save_pretrained(folder, max_shard_size=size // shards + 4096 if shards > 1 else "1GB")
    (folder / "generation_config.json").unlink(missing_ok=True)
    if style == "hub":
        (folder / "config.json").write_text(json.dumps(hub, indent=2) + "\n")
