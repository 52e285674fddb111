"""The golden models' configs as a current transformers saves them: tests/golden/configs.

Needs transformers alone. Run after golden_models.py, whose configs are read.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from transformers import AutoConfig

GOLDEN = Path(__file__).resolve().parent.parent / "tests" / "golden"
CASES = ["gemma2", "gemma3", "gpt2", "llama"]


def main():
    (GOLDEN / "configs").mkdir(exist_ok=True)
    for case in CASES:
        with TemporaryDirectory() as folder:
            AutoConfig.from_pretrained(GOLDEN / "models" / case / "model").save_pretrained(folder)
            text = (Path(folder) / "config.json").read_text()
        (GOLDEN / "configs" / f"{case}.json").write_text(text)


if __name__ == "__main__":
    main()
