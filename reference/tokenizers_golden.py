"""Writes tests/golden/tokenizers/: awkward texts and the ids that the reference tokenizers give.

    python reference/tokenizers_golden.py --smollm2 SmolLM2-135M-Instruct.Q4_1.gguf --gemma3 FOLDER

SmolLM2: transformers' own conversion of the same GGUF, with the split at single digits that the
model's tokenizer.json and llama.cpp (pre-tokenizer "smollm") have and that conversion leaves out
(it shows only on numerals other than 0-9: " \u00bd", " \u2167"). Gemma 3: the tokenizer.json of the
original model, in FOLDER. Ids include the special tokens that the tokenizer adds by itself.
"""

import argparse
import json
from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence
from transformers import AutoTokenizer

OUT = Path(__file__).parent.parent / "tests" / "golden" / "tokenizers"

TEXTS = [
    "",
    " ",
    "  ",
    "     five",
    "trailing   ",
    "\n",
    "\n\n\n\n",
    " \n \n  \n",
    "\t\tx\t",
    "\r\n\r\n",
    "The capital of France is",
    "The capital of France is Paris.",
    " leading space",
    "Don't won't I'LL they'Re 'tis",
    "1234567890 3.14159 1,000,000 007 ٣٤٥ ½ Ⅷ",
    "a1b22c333d4444",
    "x=1; y = 22\nif (x==y) {\n\treturn 0x7fFF;\n}",
    "def f(a, b=None):\n    \"\"\"Doc.\"\"\"\n    return [i**2 for i in range(10)]\n",
    "<html><table><tr><td>cell</td></tr></table></html>",
    "naïve café Ångström ﬁancée",
    "nai\u0308ve cafe\u0301",
    "Привет, мир! Ελληνικά עברית العربية",
    "日本語のテキスト、中文文本。한국어 텍스트",
    "हिन्दी தமிழ் ไทย",
    "😀 😃😄 👩‍👩‍👧‍👦 🏳️‍🌈 🇫🇷🇩🇪 ☺️",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𐍈 \U0001f9ff \U000e0041",
    "zero\u200bwidth no\u00a0break soft\u00adhyphen \ufeffbom",
    "▁ underscore ▁▁ block",
    "<bos> <eos> <unk> <pad> <mask> <|endoftext|> <|im_start|>user\nhi<|im_end|>",
    "<start_of_turn>user\nHi<end_of_turn>\n<unused7>x<0x0A>",
    "https://example.org/a?b=c&d=%20#e user@example.com C:\\path\\file.txt",
    "!!!???...---___***~~~```$$$€£¥",
    "SCREAMING camelCase snake_case kebab-case PascalCase42",
    "\u0000\u0001\u007f control",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    " " * 40 + "after forty spaces" + "\n" * 35 + "\t" * 33 + "end",
    "supercalifragilisticexpialidocious antidisestablishmentarianism",
    "Marie Curie won the Nobel Prize in 1903 and 1911; she didn't live to see 1935.",
]


def write(name: str, source: str, encode) -> None:
    cases = [{"text": text, "ids": encode(text)} for text in TEXTS]
    body = ",\n".join("    " + json.dumps(case, ensure_ascii=True) for case in cases)
    OUT.mkdir(parents=True, exist_ok=True)
    text = f'{{\n  "source": {json.dumps(source)},\n  "cases": [\n{body}\n  ]\n}}\n'
    (OUT / f"{name}.json").write_text(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smollm2", type=Path, required=True)
    parser.add_argument("--gemma3", type=Path, required=True)
    args = parser.parse_args()
    smollm2 = AutoTokenizer.from_pretrained(args.smollm2.parent, gguf_file=args.smollm2.name)
    smollm2.backend_tokenizer.pre_tokenizer = Sequence(
        [Digits(individual_digits=True), ByteLevel(add_prefix_space=False, use_regex=True)]
    )
    write("smollm2", f"{args.smollm2.name} through transformers, with single digits split", lambda text: smollm2(text)["input_ids"])
    gemma3 = Tokenizer.from_file(str(args.gemma3 / "tokenizer.json"))
    write("gemma3", "tokenizer.json of Gemma 3", lambda text: gemma3.encode(text).ids)


if __name__ == "__main__":
    main()
