"""The drawing on the cover: a real prediction of the world beside that of a small model, computed when the page is built.

The bars are a trigram model's probabilities of the next word, the marks the true ones. An arc's width says how much the true
prediction needs the word it leads to: KL(p(next | all words) ‖ p(next | all words but this one)) in bits.
"""

import math
from functools import cache

from lmcore import END
from lmcore.evaluate import bits
from lmcore.ngram import NGram
from lmcore.world import World

PREFIX = ("Alice", "went", "to", "the", "beach", ".", "There", "she", "built", "a")
# Where each word stands on the line, and the words as they are drawn.
PLACES = {0: (40, "Alice"), 1: (97, "went"), 2: (141, "to"), 3: (183, "the"), 4: (250, "beach."), 6: (355, "There")}
PLACES |= {7: (424, "she"), 8: (474, "built"), 9: (527, "a")}
GAP = 612
STORIES, CANDIDATES, FULL = 5_000, 4, 240

SVG = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 352" class="lm-cover-art" role="img"
    aria-labelledby="lm-cover-title lm-cover-desc">
  <title id="lm-cover-title">A sentence and its next word</title>
  <desc id="lm-cover-desc">{description}</desc>
  <style>
    .lm-cover-art {{ --ink: var(--pst-color-text-base, #1f2933); --soft: var(--pst-color-text-muted, #56626f);
      --paper: var(--pst-color-background, #fff); --model: var(--lm-blue, #0a5fb4); --truth: var(--lm-amber, #a84b00);
      font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }}
    .lm-cover-art text {{ fill: var(--ink); font-size: 21px; }}
    .lm-cover-art .soft {{ fill: var(--soft); font-size: 17px; }}
    .lm-cover-art .arc {{ fill: none; stroke: var(--model); stroke-linecap: round; }}
    .lm-cover-art .bar {{ fill: var(--model); }}
    .lm-cover-art .mark {{ stroke: var(--truth); stroke-width: 4; stroke-linecap: round; }}
    .lm-cover-art .box {{ fill: var(--paper); stroke: var(--model); stroke-width: 2.5; stroke-dasharray: 7 5; }}
  </style>
  {arcs}
  <g text-anchor="middle">{words}</g>
  <rect class="box" x="552" y="134" width="120" height="34" rx="7"/>
  <path class="arc" stroke-width="2" opacity=".6" d="M612 168V186"/>
  {bars}
  <rect class="bar" x="40" y="248" width="26" height="14" rx="3"/>
  <text class="soft" x="76" y="261">what a trigram model says</text>
  <path class="mark" d="M53 279v20"/><text class="soft" x="76" y="295">what is true</text>
</svg>
"""


def needed(world: World, prefix: tuple[str, ...], position: int) -> float:
    """How much the prediction after ``prefix`` needs the word at ``position``, in bits."""
    following = world.next_distribution(prefix)
    without: dict[str, float] = dict.fromkeys(following, 0.0)
    total = 0.0
    for word in world.vocabulary:
        other = (*prefix[:position], word, *prefix[position + 1 :])
        # The last entry of log_probs is that of the end, which a prefix does not have.
        probability = math.exp(float(world.log_probs(other)[:-1].sum()))
        if probability:
            total += probability
            for token, p in world.next_distribution(other).items():
                if token in without:
                    without[token] += probability * p
    return bits(sum(p * math.log(p * total / without[token]) for token, p in following.items() if p))


@cache
def drawing() -> str:
    """The cover as SVG, with a description in words."""
    world = World()
    truth = world.next_distribution(PREFIX)
    model = NGram(3, "kneser-ney", vocabulary=world.vocabulary).fit(story.tokens for story in world.sample(STORIES, seed=0))
    said = model.next_distribution(PREFIX)
    candidates = sorted((w for w in said if w != END), key=lambda w: (-truth.get(w, 0.0), -said[w]))[:CANDIDATES]
    worth = {i: needed(world, PREFIX, i) for i in PLACES}
    most = max(worth.values())

    arcs = []
    for i, (x, _) in PLACES.items():
        share, height = worth[i] / most, 128 - 0.26 * (GAP - x)
        shape = f'd="M{GAP} 128C{GAP} {height:.0f} {x} {height:.0f} {x} 128"'
        arcs.append(f'<path class="arc" stroke-width="{1 + 6 * share:.1f}" opacity="{0.3 + 0.6 * share:.2f}" {shape}/>')
    weight = {i: ' font-weight="700"' if worth[i] == most else "" for i in PLACES}
    words = "".join(f'<text x="{x}" y="158"{weight[i]}>{word}</text>' for i, (x, word) in PLACES.items())
    bars = []
    for row, word in enumerate(candidates):
        y, mark = 196 + 36 * row, 452 + FULL * truth.get(word, 0.0)
        bars.append(f'<text x="440" y="{y + 18}" text-anchor="end">{word}</text>')
        bars.append(f'<rect class="bar" x="452" y="{y}" width="{FULL * said[word]:.1f}" height="24" rx="4"/>')
        bars.append(f'<path class="mark" d="M{mark:.1f} {y - 3}v30"/>')
    strongest = PLACES[max(worth, key=lambda i: worth[i])][1].strip(".")
    numbers = "; ".join(f"{w}: model {said[w]:.0%}, truth {truth.get(w, 0.0):.0%}" for w in candidates)
    description = (
        f"The words “Alice went to the beach. There she built a” and an empty box. Arcs lead from the box back to the words, "
        f"as wide as the prediction needs them; the widest leads to “{strongest}”. Under the box, bars and marks: {numbers}."
    )
    return SVG.format(description=description, arcs="\n  ".join(arcs), words=words, bars="\n  ".join(bars))
