"""How fast the generated language is: sampling, filtering, entropy, posteriors."""

import time

import numpy as np

from lmcore.world import World


def main() -> None:
    for distance in (0, 3):
        world = World(distance=distance)
        start = time.perf_counter()
        n = round(1_000_000 / world.expected_length())  # builds the whole automaton
        built = time.perf_counter()
        stories = world.sample(n, seed=0)
        tokens = sum(len(s.tokens) + 1 for s in stories)
        sampled = time.perf_counter()
        for story in stories:
            world.log_probs(story.tokens)
        filtered = time.perf_counter()
        world.entropy()
        summed = time.perf_counter()
        tokens_masked, masked = world.corrupt(max(stories[:1000], key=lambda s: len(s.tokens)).tokens, np.random.default_rng(0))
        world.posterior(tokens_masked, masked or [0])
        done = time.perf_counter()
        print(
            f"distance {distance}: {tokens:,} tokens sampled in {sampled - built:.1f} s, "
            f"scored at {tokens / (filtered - sampled):,.0f} tokens/s, built in {built - start:.1f} s, "
            f"entropy in {summed - filtered:.2f} s "
            f"({world._automaton.arrays.states:,} states), posterior of {len(tokens_masked)} tokens in {done - summed:.2f} s"
        )


if __name__ == "__main__":
    main()
