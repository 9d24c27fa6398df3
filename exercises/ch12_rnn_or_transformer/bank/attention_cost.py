"""What it costs to write a text with attention: operations, weights in memory, numbers kept; with a cache and without."""

import random

from exercises.grader.exercise import Exercise, hidden, public
from lmcore.check.run import Case


def attention_cost(prompt, new, dim, heads, cache):
    last = prompt + new - 1
    calls = [(1, S) if cache else (S, S) for S in range(prompt + 1, last + 1)]
    calls = [(prompt, prompt), *calls]
    operations = sum(8 * T * dim**2 + 4 * T * S * dim for T, S in calls)
    weights = max(heads * T * S for T, S in calls)
    return operations, weights, 2 * last * dim if cache else 0


# Right, written differently


def product_by_product(prompt, new, dim, heads, cache):
    def product(rows, inner, columns):
        return 2 * rows * inner * columns

    width, operations, most, known = dim // heads, 0, 0, 0
    for step in range(new):
        length = prompt + step
        asking = length - known if cache else length
        operations += 4 * product(asking, dim, dim)
        for _ in range(heads):
            operations += product(asking, width, length) + product(asking, length, width)
        most = max(most, heads * asking * length)
        known = length
    return operations, most, known * 2 * dim * bool(cache)


def closed_form(prompt, new, dim, heads, cache):
    P, L = prompt, prompt + new - 1

    def upto(n):
        return n * (n + 1) // 2

    def squares(n):
        return n * (n + 1) * (2 * n + 1) // 6

    if cache:
        operations = 8 * L * dim**2 + 4 * dim * (P**2 + upto(L) - upto(P))
        return operations, heads * max(P**2, L * (new > 1)), 2 * dim * L
    return 8 * dim**2 * (upto(L) - upto(P - 1)) + 4 * dim * (squares(L) - squares(P - 1)), heads * L**2, 0


def recursive(prompt, new, dim, heads, cache):
    if new == 1:
        return 8 * prompt * dim * dim + 4 * prompt * prompt * dim, heads * prompt * prompt, 2 * prompt * dim if cache else 0
    before, most, _ = attention_cost(prompt, new - 1, dim, heads, cache)
    S = prompt + new - 1
    T = 1 if cache else S
    return before + 4 * T * dim * (2 * dim + S), max(most, heads * T * S), 2 * S * dim if cache else 0


# Wrong: the docstring is the hint


def _sum(calls, dim, heads, kept, square=8, scores=4):
    operations = sum(square * T * dim**2 + scores * T * S * dim for T, S in calls)
    return operations, max(heads * T * S for T, S in calls), kept


def _calls(prompt, new, cache):
    return [(prompt, prompt), *((1, S) if cache else (S, S) for S in range(prompt + 1, prompt + new))]


def _kept(prompt, new, dim, cache):
    return 2 * (prompt + new - 1) * dim if cache else 0


def last_word_read_too(prompt, new, dim, heads, cache):
    """You counted one call too many. Reading the prompt gives the first new word. Which words have to be read to get the last
    one, and is the last one itself among them?"""
    return attention_cost(prompt, new + 1, dim, heads, cache)


def prompt_gives_no_word(prompt, new, dim, heads, cache):
    """The operations are those of one call too many. The call that reads the prompt already gives the first new word, so there
    are as many calls as new words."""
    _, weights, kept = attention_cost(prompt, new, dim, heads, cache)
    return attention_cost(prompt, new + 1, dim, heads, cache)[0], weights, kept


def prompt_for_nothing(prompt, new, dim, heads, cache):
    """The operations of reading the prompt are missing. It is read once with a cache, too."""
    operations, weights, kept = attention_cost(prompt, new, dim, heads, cache)
    return operations - 8 * prompt * dim**2 - 4 * prompt**2 * dim, weights, kept


def prompt_word_by_word(prompt, new, dim, heads, cache):
    """With a cache you read the prompt word by word. Its words are all there at the beginning: one call reads them together,
    and its scores are a square."""
    if not cache:
        return attention_cost(prompt, new, dim, heads, cache)
    return _sum([(1, S) for S in range(1, prompt + new)], dim, heads, _kept(prompt, new, dim, cache))


def multiplications_only(prompt, new, dim, heads, cache):
    """You counted multiplications. Each comes with an addition, and both count."""
    operations, weights, kept = attention_cost(prompt, new, dim, heads, cache)
    return operations // 2, weights, kept


def three_projections(prompt, new, dim, heads, cache):
    """The projections to queries, keys and values are there, three products. After the heads have been put side by side, one
    more C × C matrix follows."""
    return _sum(_calls(prompt, new, cache), dim, heads, _kept(prompt, new, dim, cache), square=6)


def scores_without_the_mean(prompt, new, dim, heads, cache):
    """Of the two products with T · S · C multiplications one is missing: the scores are one, and the weighted mean of the
    values is the other."""
    return _sum(_calls(prompt, new, cache), dim, heads, _kept(prompt, new, dim, cache), scores=2)


def projections_for_nothing(prompt, new, dim, heads, cache):
    """Only scores and means are counted. The four products with C × C matrices belong to the layer, and for short texts they
    are most of it."""
    return _sum(_calls(prompt, new, cache), dim, heads, _kept(prompt, new, dim, cache), square=0)


def operations_times_heads(prompt, new, dim, heads, cache):
    """The scores and means were counted with the full width C for each head. A head works with C / H numbers: what do all heads
    come to together?"""
    return _sum(_calls(prompt, new, cache), dim, heads, _kept(prompt, new, dim, cache), scores=4 * heads)


def one_head_of_operations(prompt, new, dim, heads, cache):
    """The scores and means are those of a single head. There are H of them."""
    operations, weights, kept = attention_cost(prompt, new, dim, heads, cache)
    pairs = sum(T * S for T, S in _calls(prompt, new, cache))
    return operations - 4 * pairs * dim + 4 * pairs * (dim // heads), weights, kept


def half_the_square(prompt, new, dim, heads, cache):
    """You left out the scores that the causal mask forbids, about half of them. Plain products compute all of them: the mask is
    put over scores that are there already."""
    calls = _calls(prompt, new, cache)
    _, weights, kept = attention_cost(prompt, new, dim, heads, cache)
    pairs = sum(T * S if T == 1 and cache else T * (T + 1) // 2 for T, S in calls)
    return sum(8 * T * dim**2 for T, _ in calls) + 4 * pairs * dim, weights, kept


def new_word_not_among_the_keys(prompt, new, dim, heads, cache):
    """With a cache a new word looks at those before it and at itself. You counted one key too few in each of these calls."""
    calls = [(T, S - 1) if cache and place else (T, S) for place, (T, S) in enumerate(_calls(prompt, new, cache))]
    return _sum(calls, dim, heads, _kept(prompt, new, dim, cache))


def cache_only_for_scores(prompt, new, dim, heads, cache):
    """With a cache you project all words again at every call. Their keys and values are kept: only the new word has to be
    projected."""
    operations, weights, kept = attention_cost(prompt, new, dim, heads, cache)
    if cache:
        operations += sum(8 * (S - 1) * dim**2 for S in range(prompt + 1, prompt + new))
    return operations, weights, kept


def always_cached(prompt, new, dim, heads, cache):
    """You always count as if there were a cache. Without one, every call reads the whole text so far."""
    operations, weights, _ = attention_cost(prompt, new, dim, heads, True)
    return operations, weights, _kept(prompt, new, dim, cache)


def never_cached(prompt, new, dim, heads, cache):
    """Operations and weights are those without a cache in every case. With one, a call after the first has a single query."""
    operations, weights, _ = attention_cost(prompt, new, dim, heads, False)
    return operations, weights, _kept(prompt, new, dim, cache)


def weights_of_one_head(prompt, new, dim, heads, cache):
    """The weights in memory are those of one head. All H heads have their own, at the same time."""
    operations, _, kept = attention_cost(prompt, new, dim, heads, cache)
    return operations, max(T * S for T, S in _calls(prompt, new, cache)), kept


def weights_of_the_last_call(prompt, new, dim, heads, cache):
    """You took the weights of the last call. With a cache that is a single row. Which call holds the most?"""
    operations, _, kept = attention_cost(prompt, new, dim, heads, cache)
    T, S = _calls(prompt, new, cache)[-1]
    return operations, heads * T * S, kept


def weights_of_the_prompt(prompt, new, dim, heads, cache):
    """You took the weights of the first call. Without a cache the later ones hold more, and with a short prompt and a cache a
    single row may be longer than the prompt's whole square."""
    operations, _, kept = attention_cost(prompt, new, dim, heads, cache)
    return operations, heads * prompt**2, kept


def weights_of_all_calls(prompt, new, dim, heads, cache):
    """You added up the weights of all calls. Once a call is over, its weights are not needed any more: asked for is the most at
    one time."""
    operations, _, kept = attention_cost(prompt, new, dim, heads, cache)
    return operations, sum(heads * T * S for T, S in _calls(prompt, new, cache)), kept


def only_keys_kept(prompt, new, dim, heads, cache):
    """The cache you count holds the keys. What else does a later word need?"""
    operations, weights, kept = attention_cost(prompt, new, dim, heads, cache)
    return operations, weights, kept // 2


def kept_times_heads(prompt, new, dim, heads, cache):
    """The numbers kept were multiplied by H. The keys of all heads together are C numbers for a word, since each head has C /
    H."""
    operations, weights, kept = attention_cost(prompt, new, dim, heads, cache)
    return operations, weights, kept * heads


def last_word_kept(prompt, new, dim, heads, cache):
    """The cache you count holds one word too many. The last new word is never read, so it has no key and no value."""
    operations, weights, kept = attention_cost(prompt, new, dim, heads, cache)
    return operations, weights, kept + 2 * dim if cache else 0


def kept_without_a_cache(prompt, new, dim, heads, cache):
    """Without a cache nothing is kept from one call to the next, and the third number is 0."""
    operations, weights, _ = attention_cost(prompt, new, dim, heads, cache)
    return operations, weights, 2 * (prompt + new - 1) * dim


def only_the_prompt_kept(prompt, new, dim, heads, cache):
    """The cache you count holds the prompt alone. The new words that were read are kept, too."""
    operations, weights, _ = attention_cost(prompt, new, dim, heads, cache)
    return operations, weights, 2 * prompt * dim if cache else 0


def cases(rng: random.Random) -> list[Case]:
    C = 4 * rng.randint(2, 9)
    return [
        public("three words, then two more, with a cache", 3, 2, 4, 2, True),
        public("three words, then two more, without", 3, 2, 4, 2, False),
        public("one word, then four more, with a cache", 1, 4, 6, 3, True),
        hidden("one new word, with a cache", 5, 1, 8, 4, True),
        hidden("one new word, without", 5, 1, 8, 4, False),
        hidden("one head", 4, 3, 5, 1, True),
        hidden("a thousand words after a thousand", 1000, 1000, 768, 12, True),
        hidden("some sizes, with a cache", rng.randint(2, 30), rng.randint(2, 30), C, 4, True),
        hidden("some sizes, without", rng.randint(2, 30), rng.randint(2, 30), C, 2, False),
    ]


EXERCISE = Exercise(
    chapter="ch12_rnn_or_transformer",
    minutes=25,
    difficulty=2,
    points=3,
    reference=attention_cost,
    right=[product_by_product, closed_form, recursive],
    wrong=[
        last_word_read_too,
        prompt_gives_no_word,
        prompt_for_nothing,
        prompt_word_by_word,
        multiplications_only,
        three_projections,
        scores_without_the_mean,
        projections_for_nothing,
        operations_times_heads,
        one_head_of_operations,
        half_the_square,
        new_word_not_among_the_keys,
        cache_only_for_scores,
        always_cached,
        never_cached,
        weights_of_one_head,
        weights_of_the_last_call,
        weights_of_the_prompt,
        weights_of_all_calls,
        only_keys_kept,
        kept_times_heads,
        last_word_kept,
        kept_without_a_cache,
        only_the_prompt_kept,
    ],
    cases=cases,
)
