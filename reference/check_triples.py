#!/usr/bin/env python3
"""Checks the built-in triples against the tokenizers that they are balanced for.

Length must explain nothing: a fact and its hallucination have the same number of tokens in nearly
all triples. Counts are of the whole texts, prompt + " " + completion, with the special tokens that
the tokenizer's own post-processor adds (none for SmolLM2, `<bos>` for Gemma 2).

    python reference/check_triples.py --smollm2 FILE [--gemma2 FILE] [--golden FILE]

The pairs of the calibration's positive controls (crate/dataset/calibration) have to be equal in length under
SmolLM2's tokenizer, every one.

`--smollm2` takes a GGUF of SmolLM2 or its tokenizer.json, `--gemma2` a tokenizer.json. `--golden`
writes {id: [n_prompt, n_fact, n_hall]} under SmolLM2's tokenizer, by default to
tests/golden/triples_tokens.json. Needs `tokenizers`, and `transformers` with `gguf` for a GGUF.
Exit 1 when a bound is missed.
"""

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONTROLS = ROOT / "crate" / "dataset" / "calibration"
TRIPLES = ROOT / "crate" / "dataset" / "builtin.jsonl"
GOLDEN = ROOT / "tests" / "golden" / "triples_tokens.json"
# Share of triples with equal counts, and the largest mean difference (hallucination - fact).
BOUNDS = {"SmolLM2": (0.95, 0.1), "Gemma 2": (0.80, None)}


def load(path):
    """The tokenizer of a tokenizer.json or a GGUF file."""
    from tokenizers import Tokenizer, pre_tokenizers

    if path.suffix != ".gguf":
        return Tokenizer.from_file(str(path))
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name).backend_tokenizer
    # transformers rebuilds the tokenizer without its `smollm` pre-tokenizer, which takes digits
    # one by one before the byte-level split.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    return tokenizer


def check(name, tokenizer, triples):
    """Prints how well the triples are balanced; returns their counts and whether the bounds hold."""
    counts, unequal, not_prefix = {}, [], []
    for triple in triples:
        texts = [triple["prompt"]] + [f"{triple['prompt']} {triple[key]}" for key in ("fact", "hallucination")]
        prompt, fact, hall = (tokenizer.encode(text) for text in texts)
        counts[triple["id"]] = [len(prompt), len(fact), len(hall)]
        if len(fact) != len(hall):
            n = len(prompt)
            unequal.append(f"  {triple['id']}: fact {fact.tokens[n:]}, hallucination {hall.tokens[n:]}")
        if any(text.ids[: len(prompt)] != prompt.ids for text in (fact, hall)):
            not_prefix.append(triple["id"])
    share = 1 - len(unequal) / len(triples)
    mean = sum(hall - fact for _, fact, hall in counts.values()) / len(triples)
    longest = max(max(fact, hall) - prompt for prompt, fact, hall in counts.values())
    least, most = BOUNDS[name]
    holds = share >= least and (most is None or abs(mean) < most) and not not_prefix
    print(
        f"{name}: equal counts in {share:.1%} of {len(triples)} triples (at least {least:.0%}), "
        f"mean difference {mean:+.3f} tokens, longest completion {longest} tokens, "
        f"prompt no prefix in {len(not_prefix)}{': ' + ', '.join(not_prefix) if not_prefix else ''}"
    )
    for domain in sorted({triple["domain"] for triple in triples}):
        part = [counts[triple["id"]] for triple in triples if triple["domain"] == domain]
        mean = sum(hall - fact for _, fact, hall in part) / len(part)
        same = sum(fact == hall for _, fact, hall in part)
        print(f"  {domain}: equal in {same} of {len(part)}, mean difference {mean:+.3f}")
    print("\n".join(unequal))
    return counts, holds


def check_controls(tokenizer):
    """Prints how many pairs of each positive control are equal in length; returns whether all are."""
    holds = True
    for path in sorted(CONTROLS.glob("*.jsonl")):
        pairs = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        lengths = [[len(tokenizer.encode(f"{pair['prompt']} {pair[key]}")) for key in ("fact", "hallucination")] for pair in pairs]
        unequal = [pair["id"] for pair, (fact, hall) in zip(pairs, lengths) if fact != hall]
        print(f"{path.stem}: equal counts in {len(pairs) - len(unequal)} of {len(pairs)} pairs {' '.join(unequal)}")
        holds &= not unequal
    return holds


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--smollm2", type=Path, required=True, help="GGUF or tokenizer.json of SmolLM2")
    parser.add_argument("--gemma2", type=Path, help="tokenizer.json of Gemma 2")
    parser.add_argument("--golden", type=Path, nargs="?", const=GOLDEN, help="write the expected counts here")
    args = parser.parse_args()

    triples = [json.loads(line) for line in TRIPLES.read_text(encoding="utf-8").splitlines()]
    smollm2 = load(args.smollm2)
    counts, holds = check("SmolLM2", smollm2, triples)
    holds &= check_controls(smollm2)
    if args.gemma2:
        holds &= check("Gemma 2", load(args.gemma2), triples)[1]
    if args.golden:
        args.golden.parent.mkdir(parents=True, exist_ok=True)
        rows = ",\n".join(f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in counts.items())
        args.golden.write_text(f"{{\n{rows}\n}}\n", encoding="utf-8")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
