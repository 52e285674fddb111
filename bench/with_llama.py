"""The small model's prefill by llama.cpp over the built-in texts. Prints one JSON object.

    python bench/with_llama.py --files DIR --form f32|f16|bf16|q8_0|q4_0|q4_1 [--rows FILE.npy]

DIR is what bench/export_small.py wrote. Many texts in one batch, each a sequence of its own, sorted by length;
of each the last token's logits are asked for (it gives no residuals, and embeddings only with the logits of every
token), a fortieth of the work. Tokenising is timed, loading is not; each number of sequences, with one cache for all
or one for each, is run once after a pass that nobody times. `--rows` gets the first logits [texts, LOGITS].
The python that runs it needs bench/requirements.txt.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import time
from importlib.metadata import version
from pathlib import Path

from common import need, peak_bytes, threads

# of tokens in one batch, and in what is computed at once of it
BATCH = 2048
MICRO_BATCHES = (512,)
# how many logits of a text are kept, to be compared
LOGITS = 1024


class Model:
    """A GGUF file in llama.cpp."""

    def __init__(self, path: Path):
        import llama_cpp

        self.api = llama_cpp
        llama_cpp.llama_backend_init()
        self.quiet = llama_cpp.llama_log_callback(lambda *_: None)
        llama_cpp.llama_log_set(self.quiet, ctypes.c_void_p(0))
        params = llama_cpp.llama_model_default_params()
        self.model = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
        if not self.model:
            raise SystemExit(f"{path}: llama.cpp cannot load it\nhint: bench/export_small.py writes it")
        self.vocab = llama_cpp.llama_model_get_vocab(self.model)

    def tokenize(self, text: str) -> list[int]:
        raw = text.encode()
        room = len(raw) + 8
        ids = (self.api.llama_token * room)()
        count = self.api.llama_tokenize(self.vocab, raw, len(raw), ids, room, True, False)
        if count < 0:
            raise SystemExit(f"{text!r}: {-count} tokens for {len(raw)} bytes")
        return list(ids[:count])


class Context:
    """Room for `sequences` texts at a time, in one cache for all (`unified`) or one for each."""

    def __init__(self, model: Model, sequences: int, unified: bool, micro_batch: int, longest: int):
        self.model, self.sequences, api = model, sequences, model.api
        params = api.llama_context_default_params()
        params.n_ctx = sequences * (longest + -longest % 8)
        params.n_batch, params.n_ubatch = BATCH, micro_batch
        params.n_seq_max, params.kv_unified = sequences, unified
        params.n_threads = params.n_threads_batch = threads()
        self.context = api.llama_init_from_model(model.model, params)
        if not self.context:
            raise SystemExit(f"llama.cpp makes no context of {sequences} sequences")
        self.batch = api.llama_batch_init(BATCH, 0, 1)

    def close(self) -> None:
        self.model.api.llama_batch_free(self.batch)
        self.model.api.llama_free(self.context)

    def forward(self, ids: list[list[int]]) -> list:
        """The first logits of each text's last token: at most `sequences` texts, of BATCH tokens together."""
        import numpy as np

        api, batch, at = self.model.api, self.batch, 0
        api.llama_memory_clear(api.llama_get_memory(self.context), True)
        last = []
        for sequence, its in enumerate(ids):
            for position, token in enumerate(its):
                batch.token[at], batch.pos[at] = token, position
                batch.n_seq_id[at], batch.seq_id[at][0] = 1, sequence
                batch.logits[at] = position == len(its) - 1
                at += 1
            last.append(at - 1)
        batch.n_tokens = at
        failed = api.llama_decode(self.context, batch)
        if failed:
            raise SystemExit(f"llama_decode of {len(ids)} texts, {at} tokens: {failed}")
        rows = (api.llama_get_logits_ith(self.context, place) for place in last)
        return [np.ctypeslib.as_array(row, (LOGITS,)).copy() for row in rows]


def batches(lengths: list[int], order: list[int], sequences: int) -> list[list[int]]:
    """`order` cut into runs of at most `sequences` texts and BATCH tokens.

    >>> batches([3, 1, 2], [1, 2, 0], 2)
    [[1, 2], [0]]
    """
    out: list[list[int]] = []
    tokens = BATCH
    for at in order:
        if tokens + lengths[at] > BATCH or len(out[-1]) == sequences:
            out.append([])
            tokens = 0
        out[-1].append(at)
        tokens += lengths[at]
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=Path, required=True, help="of bench/export_small.py")
    parser.add_argument("--form", required=True, help="a file's name without .gguf")
    parser.add_argument("--sequences", default="64", help="texts at a time")
    parser.add_argument("--rows", type=Path)
    args = parser.parse_args()
    need("llama_cpp", "numpy")
    import numpy as np

    described = json.loads((args.files / "texts.json").read_text())
    texts = described["texts"]
    began = time.perf_counter()
    model = Model(args.files / f"{args.form}.gguf")
    load_seconds = time.perf_counter() - began
    wrong = [text for text, ids in zip(texts, described["ids"]) if model.tokenize(text) != ids]
    if wrong:
        raise SystemExit(f"{len(wrong)} of {len(texts)} texts have other tokens in llama.cpp: {wrong[0]!r}")

    longest, rows, settings = max(map(len, described["ids"])), [None] * len(texts), []
    for sequences in map(int, args.sequences.split(",")):
        for unified in (True, False):
            for micro_batch in MICRO_BATCHES:
                context = Context(model, sequences, unified, micro_batch, longest)
                context.forward(described["ids"][:sequences])
                began = time.perf_counter()
                ids = [model.tokenize(text) for text in texts]
                order = sorted(range(len(ids)), key=lambda at: len(ids[at]))
                for chosen in batches([len(its) for its in ids], order, sequences):
                    for at, row in zip(chosen, context.forward([ids[at] for at in chosen])):
                        rows[at] = row
                seconds = time.perf_counter() - began
                context.close()
                cache = "one cache" if unified else "a cache each"
                name = f"{sequences} texts at a time, {cache}, micro-batches of {micro_batch}"
                settings.append({"setting": name, "seconds": round(seconds, 3), "tokens": sum(map(len, ids))})
    if args.rows:
        np.save(args.rows, np.array(rows, dtype=np.float32))
    print(
        json.dumps(
            {
                "version": f"llama-cpp-python {version('llama-cpp-python')}",
                "texts": len(texts),
                "settings": settings,
                "load_seconds": round(load_seconds, 3),
                "peak": peak_bytes(),
            }
        )
    )


if __name__ == "__main__":
    main()
