"""Triples for the tiny models: a few ordinary ones, and the awkward ones that break pipelines."""

TRIPLES = [
    ("plain_entity", "entity", 2, "The white whale was called", "Moby Dick", "Captain Ahab"),
    ("plain_year", "temporal", 3, "Alice peeped into the book in", "1865.", "1951."),
    ("empty_fact", "logical", 1, "Alice was beginning to get very tired", "", "of sitting"),
    ("unseen_unicode", "adversarial", 8, "Ünïcödé 漢字 🐋🏴‍☠️ e\u0301",
     "naïve ☃", "日本語 \u200dx"),
    ("longer_than_window", "entity", 6,
     "Some years ago having little or no money I thought I would sail about a little and see the "
     "watery part of", "the world.", "the moon."),
    # The prompt's last space and the completion's first one merge across the joint, so that the
    # prompt's tokens are no prefix of the whole text's.
    ("merge_across_joint", "adversarial", 9, "I am the sea. It was ", " deep", " very dry"),
    ("same_completion", "logical", 2, "All men are created", "equal", "equal"),
    ("fact_is_prefix", "logical", 4, "In the sea there was", "a white", "a white whale"),
    ("very_long", "temporal", 10,
     "Four score and seven years ago our fathers brought forth on this continent, a new nation, "
     "conceived in Liberty, and dedicated to the proposition that all men are created equal. Now "
     "we are", "engaged in a civil war", "at peace with every nation"),
    ("one_token_prompt", "entity", 1, "I", "am", "was"),
    ("layout_and_digits", "adversarial", 7, "Line one\n\n\tline two: 3.14159,", "yes\n", "no"),
    ("two_letters", "logical", 1, "A", "B", "C D"),
]  # fmt: skip


def triples() -> list[dict]:
    """The triples in the data set's own JSON form."""
    keys = ("id", "domain", "complexity", "prompt", "fact", "hallucination")
    return [dict(zip(keys, row)) for row in TRIPLES]


def texts(triple: dict) -> dict[str, str]:
    """prompt, fact and hall text of a triple, joined by one ASCII space."""
    p = triple["prompt"]
    return {"prompt": p, "fact": f"{p} {triple['fact']}", "hall": f"{p} {triple['hallucination']}"}
