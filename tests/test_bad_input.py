"""What a student reads after a wrong call: a ValueError or FileNotFoundError that says what was given and what is allowed.

One table over all rooms. Each call stands beside pieces of its message: first what was given, then what would be right.
"""

import pytest

from tests.plain import errors

PRELUDE = """
import os
import numpy as np
import torch
os.environ.update(LMCORE_DATA="no-such-folder", LMCORE_MIRROR="http://127.0.0.1:9", NO_PROXY="127.0.0.1", LMCORE_DEVICE="cpu")
from lmcore import analogies, check, corpora, device, embeddings, evaluate, gradients, ledger
from lmcore import pretrained, recurrent, rnn, schedules, train, vit, widgets, world
from lmcore.analogies import WordVectors
from lmcore.attention import AdditiveAttention, Cache, MultiHeadAttention, attend, causal_mask, look_up
from lmcore.attention import padding_mask, scaled_dot_product
from lmcore.batches import Contexts, Lanes, Padded, Windows
from lmcore import bert
from lmcore.bert import Bert, BertConfig, contextual_vectors, inputs, mean_pool, sentence_vectors, word_places
from lmcore.blocks import EncoderLayer, FeedForward, LayerNorm
from lmcore.bpe import BPE
from lmcore.embeddings import FeedForwardLM, SkipGram
from lmcore import llama
from lmcore.decode import fast
from lmcore.gpt import GPT, GPTConfig, as_language_model, pretrain
from lmcore.llama import Llama, LlamaConfig
from lmcore.generate import beam, filtered, generate, greedy, repetition_penalty, sample, temperature, top_k, top_p
from lmcore.ngram import NGram
from lmcore.pairs import Pairs
from lmcore.positions import Learned, Rotary, Sinusoidal, rotate, shift_matrix, sinusoidal
from lmcore.pretrained import bert_names, from_huggingface, load_bert, save_bert, to_huggingface
from lmcore.recurrent import RecurrentLM
from lmcore.seq2seq import Seq2Seq, translate
from lmcore.skipgrams import SkipGrams
from lmcore.tokenizer import CharTokenizer, WordTokenizer
from lmcore import tuning
from lmcore.transformer import Encoder, TransformerClassifier, TransformerLM, TransformerTranslator
from lmcore.vit import Captioner, Captions, Pictures, Vit, VitClassifier, VitConfig, patchify, unpatchify
from lmcore.wordpiece import WordPiece
from lmcore.world import MaskingNoise, World

chars = CharTokenizer.train("abc", special=())
words = WordTokenizer.train("a b c")
byte = BPE.train("aa ab aa ab", 258)
piece = WordPiece.train("aa ab aa ab", 12)
model = NGram(2).fit(["a b", "b a"])
tiny = World.tiny()
story = tiny.sample(1, 0)[0].tokens
vectors = WordVectors(["a", "b", "c", "d"], np.eye(4))
net = FeedForwardLM(7, 3, 5, 11)
gram = SkipGram(7, 5)
simple = torch.nn.RNN(2, 3, batch_first=True)
ids = torch.zeros(2, dtype=torch.long)
page = ledger.Page("99_page")
figure = dict(stories=tiny.sample(1, 0), models={"world": tiny}, truth=tiny)
spoken = dict(vocabulary=["<start>", "<end>", "a", "b"], texts=["a b"])
gated = RecurrentLM(4, 3, 2, cell="lstm")
loss = lambda model, batch: model(torch.ones(2)).sum()

asks, keys = torch.zeros(2, 3, 5), torch.zeros(2, 7, 5)
additive = AdditiveAttention(5, 5, 11)
heads, filled = MultiHeadAttention(5, 1), Cache()
filled.append(asks[:, None], asks[:, None])
translator = Seq2Seq(7, 7, 3, 5)
reader = Bert(BertConfig(12, dim=6, heads=2, layers=1, hidden=5, max_length=4))
gpt = GPT(GPTConfig(9, max_length=4, dim=6, heads=2, layers=1, hidden=5))
known = bert.word_tokenizer(["a", "b"])
filler = bert.BertMaskedLM(BertConfig(len(known), dim=6, heads=2, layers=1))
hidden = dict(tokenizer=known, seed=3)
dice = np.random.default_rng(0)
pixels = torch.zeros(2, 1, 4, 6)
small = VitConfig((4, 6), patch=2, channels=1, dim=6, heads=2, layers=1, hidden=5)
sees = VitClassifier(small, 3)
begun = lambda: translator.begin(torch.full((2, 3), 4), torch.tensor([3, 1]))

def fit(**changed):
    given = dict(model=torch.nn.Linear(2, 1), batches=[1, 2], loss=loss, steps=2, lr=0.1)
    return next(train.fit(**{**given, **changed}))
"""

TOKENISERS = {
    'CharTokenizer.train("")': ("empty", "at least one visible character"),
    "CharTokenizer.train(None)": ("NoneType", "give one string"),
    'CharTokenizer.train(b"abc")': ("bytes", "give one string"),
    'CharTokenizer.train("abc", special="<pad>")': ("special='<pad>'", "list of different, non-empty strings"),
    "CharTokenizer([])": ("empty", "at least one token"),
    'CharTokenizer(["a", "a"])': ("'a'", "twice"),
    'chars.encode("abd")': ("'d'", "add <unk>"),
    "chars.encode(7)": ("int", "give one string"),
    "chars.decode([3])": ("3 is not", "0 to 2"),
    "chars.decode([-1])": ("-1 is not", "0 to 2"),
    "chars.decode([0.5])": ("[0.5]", "whole numbers from 0 to 2"),
    'chars.decode("ab")': ("'ab'", "whole numbers from 0 to 2"),
    "chars.decode(None)": ("None", "whole numbers from 0 to 2"),
    'WordTokenizer.train("   ")': ("empty", "visible character"),
    'WordTokenizer.train("a b", size=0)': ("size=0", "larger"),
    'WordTokenizer.train("a b", size="3")': ("size='3'", "whole number"),
    'WordTokenizer.train("a b", size=2.5)': ("size=2.5", "whole number"),
    'WordTokenizer.train("a b", min_count=0)': ("min_count=0", "from 1 on"),
    'WordTokenizer.train("a b", min_count="two")': ("min_count='two'", "whole number"),
    'WordTokenizer.train("a b", pattern="(")': ("'('", "regular expression"),
    'WordTokenizer.train("a b", pattern=7)': ("7 is not", "regular expression"),
    'words.encode(["a"])': ("list", "give one string"),
    "words.words(None)": ("NoneType", "give one string"),
    'BPE.train("", 300)': ("empty", "visible character"),
    "BPE.train(7, 300)": ("int", "give one string"),
    'BPE.train("aa", 10)': ("vocab_size=10", "from 256"),
    'BPE.train("aa", -5)': ("vocab_size=-5", "from 256"),
    'BPE.train("aa", "300")': ("vocab_size='300'", "whole number"),
    'BPE.train("aa", 300.5)': ("vocab_size=300.5", "whole number"),
    'BPE.train("aa", 300, min_count=0)': ("min_count=0", "from 1 on"),
    'BPE.train("aa", 300, pattern="(")': ("'('", "regular expression"),
    'BPE.load("no-such-folder")': ("no-such-folder", "existing file"),
    "byte.encode(None)": ("NoneType", "give one string"),
    'byte.encode_bytes("aa")': ("str", "give bytes"),
    "byte.decode([999])": ("999", "0 to 257"),
    "byte.decode_bytes([-1])": ("-1", "0 to 257"),
    'byte.decode([97], errors="maybe")': ("errors='maybe'", "'replace', 'strict'"),
    'WordPiece.train("", 100)': ("empty", "visible character"),
    'WordPiece.train("aa", 1)': ("vocab_size=1", "at least 7"),
    'WordPiece.train("aa", "100")': ("vocab_size='100'", "at least 7"),
    'WordPiece.train("aa", 100, score="best")': ("score='best'", "frequency, ratio, gain"),
    'WordPiece.load("no-such-file")': ("no-such-file", "existing file"),
    "piece.encode(5)": ("int", "give one string"),
    "piece.decode([10**6])": ("1000000", "0 to"),
}

LANGUAGE_MODELS = {
    "NGram(0)": ("got 0", "from 1 on"),
    "NGram(-1)": ("got -1", "from 1 on"),
    "NGram(2.5)": ("got 2.5", "whole number"),
    'NGram("3")': ("got '3'", "whole number"),
    'NGram(2, "laplace")': ("'laplace'", "kneser-ney"),
    'NGram(2, "add-k", k=-1)': ("got -1", "above 0"),
    'NGram(2, "add-k", k="a")': ("got 'a'", "above 0"),
    "NGram(2, min_count=0)": ("got 0", "from 1 on"),
    'NGram(2, vocabulary="abc")': ("'abc'", "list of words"),
    "NGram(2).fit([])": ("got none", "at least one text"),
    'NGram(2).fit("a b")': ("'a b'", "list of texts"),
    "NGram(2).fit([1, 2])": ("int 1", "a string or a sequence of strings"),
    "NGram(2).fit(None)": ("None", "list of texts"),
    'NGram(2).log_prob("a")': ("no text yet", "fit(sentences)"),
    'NGram(2).next_distribution("a")': ("no text yet", "fit(sentences)"),
    'model.log_prob("a zebra")': ("'zebra'", "<unk>"),
    "model.log_prob(5)": ("int 5", "a string or a sequence of strings"),
    'model.next_distribution("zebra")': ("'zebra'", "<unk>"),
    "model.next_distribution(3)": ("int 3", "a string or a sequence of strings"),
    "model.perplexity([])": ("got none", "at least one text"),
    'model.perplexity("a b")': ("'a b'", "list of texts"),
    'model.perplexity(["a zebra"])': ("'zebra'", "<unk>"),
    'model.sample("seed")': ("'seed'", "numpy.random.default_rng"),
    "model.sample(-1)": ("-1", "seed"),
    "model.sample(0, max_tokens=0)": ("got 0", "from 1 on"),
    'model.sample(0, prefix="zebra")': ("'zebra'", "<unk>"),
    "evaluate.cross_entropy(model, [])": ("got none", "at least one text"),
    'evaluate.cross_entropy(model, "a b")': ("'a b'", "list of texts"),
    'evaluate.cross_entropy("model", ["a"])': ("'model'", "log_probs"),
    'evaluate.bits("x")': ("'x'", "a number"),
    "evaluate.perplexity(None)": ("None", "a number"),
    'evaluate.bits_per_character(model, ["a"], separator=3)': ("int 3", "a string"),
    "evaluate.excess(model, tiny, [])": ("got none", "at least one text"),
    "evaluate.kl(tiny, model, 3)": ("int 3", "a string or a sequence of strings"),
    "evaluate.kl_by_position(tiny, 3, ['a'])": ("int 3", "log_probs"),
    'evaluate.bleu(["a"], ["a", "b"])': ("1 hypotheses", "references for 2"),
    'evaluate.bleu("a", ["a"])': ("'a'", "list of texts"),
    'evaluate.span_f1([["O"]], [["O", "O"]])': ("truth has 1 tags", "predicted has 2"),
    'evaluate.span_f1([["X-y"]], [["O"]])': ("'X-y'", "'B-TYPE'"),
}

WORLD = {
    "World(distance=-1)": ("distance=-1", "0 or more"),
    "World(distance=1.5)": ("distance=1.5", "whole number"),
    'World(distance="far")': ("distance='far'", "whole number"),
    'World(kinds=("poems",))': ("'poems'", "stories"),
    'World(kinds="stories")': ("kinds='stories'", "tuple"),
    "World(kinds=7)": ("kinds=7", "tuple"),
    "World(kinds=())": ("kinds=()", "one or more"),
    "World(clauses=(3, 1))": ("clauses=(3, 1)", "least ≤ largest"),
    "World(clauses=(0, 1))": ("clauses=(0, 1)", "1 ≤ least"),
    "World(clauses=2)": ("clauses=2", "(least, largest)"),
    "tiny.sample(-1, 0)": ("n=-1", "0 or more"),
    'tiny.sample("many", 0)': ("n='many'", "whole number"),
    "tiny.sample(2.5, 0)": ("n=2.5", "whole number"),
    "tiny.sample(3, -1)": ("seed=-1", "0 or more"),
    'tiny.sample(3, "seed")': ("seed='seed'", "whole number"),
    "tiny.log_prob(5)": ("5 is", "a string or a sequence of words"),
    'tiny.log_prob("xyzzy")': ("'xyzzy'", "vocabulary"),
    'tiny.next_distribution("xyzzy")': ("'xyzzy'", "vocabulary"),
    'tiny.next_distribution(["a", 3])': ("['a', 3]", "a sequence of words"),
    "tiny.posterior(story, [99])": ("99", "text of 4 tokens"),
    "tiny.posterior(story, [-1])": ("-1", "start at 0"),
    'tiny.posterior(story, "a")': ("masked='a'", "list of positions"),
    "tiny.posterior(story, [0.5])": ("0.5", "positions start at 0"),
    'tiny.posterior("xyzzy", [0])': ("'xyzzy'", "vocabulary"),
    'tiny.entropy(per="word")': ("per='word'", '"token"'),
    "tiny.instructions(-1, 0)": ("n=-1", "0 or more"),
    'tiny.pairs("x", 0)': ("n='x'", "whole number"),
    'tiny.translate("xyzzy plugh")': ("'xyzzy plugh'", "English sentence"),
    "tiny.translate(5)": ("5 is", "a string or a sequence of words"),
    "MaskingNoise(mask=-0.1)": ("mask=-0.1", "from 0 to 1"),
    "world.detokenize(5)": ("5 is", "a string or a sequence of words"),
}

TRAINING = {
    "Windows([1, 2, 3], 0, 1)": ("length=0", "at least 1"),
    "Windows([1, 2, 3], 9, 1)": ("length=9", "at least 10 ids"),
    "Windows([1, 2, 3], 1, 0)": ("batch_size=0", "at least 1"),
    "Windows([0.5, 1.5], 1, 1)": ("float64", "whole numbers"),
    'Windows("abc", 1, 1)': ("string", "token ids"),
    "Windows([[1, 2], [3, 4]], 1, 1)": ("(2, 2)", "one flat row"),
    "Windows([], 1, 1)": ("got 0", "at least 2 ids"),
    "Windows([1, -2, 3], 1, 1)": ("-2", "at least 0"),
    'Windows([1, 2, 3], 1, 1, device="abacus")': ("device='abacus'", "'cpu'"),
    "Windows([1, 2, 3], 1, 1, seed=-1)": ("seed=-1", "at least 0"),
    "Windows([1, 2, 3], 1, 1, epochs=0)": ("epochs=0", "at least 1"),
    "Padded([], 2, pad=0, start=1, end=2)": ("empty", "at least one text"),
    "Padded([[1.5]], 2, pad=0, start=1, end=2)": ("float64", "whole numbers"),
    'Padded([[3]], 2, pad="p", start=1, end=2)': ("pad='p'", "at least 0"),
    "Contexts([[3]], 0, 2, start=1, end=2)": ("context=0", "at least 1"),
    "Contexts([[3]], 1, 2, start=-1, end=2)": ("start=-1", "at least 0"),
    "SkipGrams([[1, 2]], 2, vocab_size=1)": ("id 2", "allows 0 … 0"),
    "SkipGrams([[1, 2]], 2, vocab_size=9, window=0)": ("window=0", "at least 1"),
    "SkipGrams([[1, 2]], 2, vocab_size=9, subsample=-1)": ("subsample=-1", "positive"),
    'SkipGrams([[1, 2]], 2, vocab_size=9, power="x")': ("power='x'", "a number"),
    "SkipGrams([[1]], 2, vocab_size=9)": ("no text has two words", "longer texts"),
    "fit(steps=0)": ("steps=0", "at least 1"),
    'fit(steps="two")': ("steps='two'", "whole number"),
    "fit(lr=-1)": ("lr=-1", "positive"),
    'fit(lr="fast")': ("lr='fast'", "positive"),
    "fit(clip=0)": ("clip=0", "positive"),
    "fit(weight_decay=-1)": ("weight_decay=-1", "not negative"),
    'fit(schedule="zigzag")': ("schedule='zigzag'", "linear, cosine"),
    "fit(warmup=9)": ("warmup=9", "below steps=2"),
    "fit(accumulate=0)": ("accumulate=0", "at least 1"),
    "fit(every=0)": ("every=0", "at least 1"),
    "fit(batches=[])": ("step 1", "fewer steps"),
    "fit(batches=None)": ("NoneType", "iterable of batches"),
    'fit(model="model")': ("str", "torch module"),
    "fit(loss=None)": ("NoneType", "loss(model, batch)"),
    "fit(loss=lambda model, batch: 3.0)": ("got 3.0", "tensor without axes"),
    "fit(loss=lambda model, batch: torch.ones(2))": ("tensor([1., 1.])", "tensor without axes"),
    "fit(save_every=2)": ("save_every=2", "checkpoint path"),
    'fit(checkpoint="x.pt", save_every=1)': ("load_state_dict", "lmcore.batches"),
    "fit(seed=-1)": ("seed=-1", "at least 0"),
    'fit(precision="half")': ("precision=half", "torch.float32"),
    'fit(optimizer="adam")': ("optimizer='adam'", "torch.optim.SGD"),
    'fit(schedule="inverse_sqrt")': ("warmup=0", "at least 1 step"),
    "schedules.vaswani_rate(0, 4000)": ("dim=0", "positive number"),
    'schedules.vaswani_rate(512, "4000")': ("warmup='4000'", "positive number"),
    "schedules.vaswani_rate(512, 4000, factor=-1)": ("factor=-1", "positive number"),
    'train.load("no-such-file")': ("no-such-file", ""),
}

EMBEDDINGS = {
    'WordVectors(["a"], np.eye(2))': ("(2, 2)", "(1, C)"),
    'WordVectors(["a", "b"], np.zeros(2))': ("(2,)", "(2, C)"),
    'WordVectors(["a", "a"], np.eye(2))': ("'a'", "one vector"),
    'WordVectors(["a", "b"], torch.full((2, 3), float("nan")))': ("'a'", "not finite"),
    "WordVectors([], np.zeros((0, 3)))": ("empty", "at least one word"),
    'vectors.neighbours("zebra")': ("'zebra'", "4 words"),
    "vectors.neighbours(3)": ("3", "4 words"),
    'vectors.neighbours("a", 0)': ("k=0", "at least 1"),
    'vectors.neighbours("a", 99)': ("k=99", "3 words"),
    'vectors.analogy("a", "b", "zebra")': ("'zebra'", "4 words"),
    "vectors.score_analogies([])": ("empty", "four words"),
    'vectors.score_analogies([("a", "b", "c")])': ("('a', 'b', 'c')", "four words"),
    'vectors.score_analogies([("a", "b", "c", "zebra")])': ("'zebra'", "4 words"),
    'vectors.score_analogies([("a", "b", "c", "d")], candidates=["zebra"])': ("'zebra'", "4 words"),
    "analogies.analogy_questions([])": ("got 0", "two pairs"),
    'analogies.analogy_questions([("a", "b", "c"), ("a", "b")])': ("('a', 'b', 'c')", "two words each"),
    "analogies.project(np.zeros((3, 2)), k=5)": ("k=5", "(3, 2)"),
    "analogies.project(np.zeros(3))": ("(3,)", "(N, C)"),
    'analogies.project("x")': ("str", "(N, C)"),
    "FeedForwardLM(0, 3, 5, 11)": ("vocab_size=0", "at least 1"),
    "FeedForwardLM(7, 3, -5, 11)": ("dim=-5", "at least 1"),
    'FeedForwardLM(7, 3, 5, "x")': ("hidden='x'", "whole number"),
    "FeedForwardLM(7, 3, 5, 11, tie=True)": ("hidden=11", "equal dim"),
    "net(torch.zeros(2, 4, dtype=torch.long))": ("4 words", "context=3"),
    "net(torch.zeros(2, 3))": ("torch.float32", "torch.int64"),
    "net(torch.full((2, 3), 7))": ("id 7", "0 … 6"),
    "net(torch.full((2, 3), -1))": ("id -1", "0 … 6"),
    "net([[1, 2, 3]])": ("list", "tensor of token ids"),
    'embeddings.as_language_model(net, ["a", "b"])': ("has 2", "knows 7"),
    'embeddings.as_language_model("net", ["a", "b"])': ("'net'", "FeedForwardLM"),
    "SkipGram(7, -1)": ("dim=-1", "at least 1"),
    "gram(torch.zeros(2), ids[:, None])": ("torch.float32", "torch.int64"),
    "gram(ids, torch.zeros(3, 3, dtype=torch.long))": ("3 rows", "2 centres"),
    "gram(ids + 9, ids[:, None])": ("id 9", "0 … 6"),
    "gram(ids, ids)": ("(2,)", "2 axes"),
    "embeddings.negative_sampling_loss(torch.zeros(3, 1))": ("(3, 1)", "at least one for noise"),
    "embeddings.negative_sampling_loss(torch.zeros(3))": ("(3,)", "one column"),
    "embeddings.negative_sampling_loss(ids[:, None])": ("torch.int64", "floating-point"),
    "embeddings.negative_sampling_loss([[1.0, 2.0]])": ("list", "tensor"),
}

RECURRENT = {
    "rnn.RNN(0, 3)": ("input_size=0", "at least 1"),
    'rnn.RNN(2, "x")': ("hidden_size='x'", "whole number"),
    "rnn.LSTM(2, 3, 0)": ("num_layers=0", "at least 1"),
    "rnn.GRU(2, 3, dropout=1)": ("dropout=1", "from 0 up to, not including, 1"),
    'rnn.LSTM(2, 3, dropout="a")': ("dropout='a'", "a probability"),
    'rnn.RNN(2, 3, nonlinearity="sin")': ("'sin'", "tanh, relu"),
    'rnn.RNNCell(2, 3, nonlinearity="sin")': ("'sin'", "tanh, relu"),
    "rnn.GRUCell(2, 0)": ("hidden_size=0", "at least 1"),
    "rnn.RNN(2, 3)(ids[:, None])": ("torch.int64", "need an embedding first"),
    "rnn.RNN(2, 3)([[1.0, 2.0]])": ("a list", "a tensor of floating-point numbers"),
    "rnn.RNN(2, 3)(torch.zeros(4, 2))": ("(4, 2)", "(B, T, 2)"),
    "rnn.RNN(2, 3)(torch.zeros(1, 0, 2))": ("(1, 0, 2)", "at least 1"),
    "rnn.LSTMCell(2, 3)(torch.zeros(1, 3))": ("(1, 3)", "(B, 2)"),
    "rnn.RNN(2, 3)(torch.zeros(1, 4, 2), torch.zeros(1, 3))": ("(1, 3)", "(1, 1, 3)"),
    "rnn.LSTM(2, 3)(torch.zeros(1, 4, 2), torch.zeros(1, 1, 3))": ("(1, 1, 3)", "a pair (h, c)"),
    'rnn.GRU(2, 3)(torch.zeros(1, 4, 2), "zero")': ("'zero'", "a state is a tensor"),
    "rnn.GRU(2, 3)(torch.zeros(2, 4, 2), None, [4, 2])": ("a list", "a tensor of 2 whole numbers"),
    "rnn.GRU(2, 3)(torch.zeros(2, 4, 2), None, ids)": ("from 0 to 0", "1 to 4"),
    "rnn.GRU(2, 3)(torch.zeros(2, 4, 2), None, ids + 5)": ("from 5 to 5", "1 to 4"),
    "rnn.detach([torch.zeros(2)])": ("a list", "a tensor or a pair"),
    "RecurrentLM(0, 3, 2)": ("vocab_size=0", "at least 1"),
    'RecurrentLM(4, 3, 2, cell="elman")': ("'elman'", "rnn, lstm, gru"),
    "RecurrentLM(4, 3, 2, tie=True)": ("hidden=2", "equal dim"),
    "RecurrentLM(4, 3, 2, layers=0)": ("layers=0", "at least 1"),
    "RecurrentLM(4, 3, 2, dropout=2)": ("dropout=2", "a probability"),
    "gated(torch.zeros(2, 3))": ("torch.float32", "torch.int64"),
    "gated(torch.full((2, 3), 4))": ("id 4", "0 … 3"),
    'recurrent.as_language_model(gated, ["a", "b"])': ("has 2", "knows 4"),
    "recurrent.as_language_model(net, vocabulary=7 * ['a'])": ("FeedForwardLM", "a RecurrentLM"),
    "recurrent.RecurrentClassifier(4, 3, 2, 0)": ("classes=0", "at least 1"),
    'recurrent.RecurrentClassifier(4, 3, 2, 5, pool="sum")': ("'sum'", "last, mean, max"),
    "recurrent.TruncatedBPTT([1, 2])": ("a list", "lmcore.batches.Lanes"),
    "recurrent.stream_cross_entropy(gated, [1])": ("got 1", "at least 2 ids"),
    "Lanes([1, 2, 3], 0, 2)": ("length=0", "at least 1"),
    "Lanes([1, 2, 3], 5, 2)": ("got 3", "at least 6"),
    "Lanes([1, 2, 3], 1, 0)": ("batch_size=0", "at least 1"),
}

GRADIENTS = {
    'gradients.slope(torch.zeros(3), "sigmoid")': ("'sigmoid'", "tanh, relu, linear"),
    "gradients.slope(ids)": ("torch.int64", "floating-point"),
    "gradients.step_jacobian(torch.zeros(2, 3), torch.zeros(3))": ("(2, 3)", "square"),
    "gradients.step_jacobian(torch.eye(2), torch.zeros(3))": ("3 wide", "2 × 2"),
    'gradients.step_jacobian("V", torch.zeros(3))': ("a str", "floating-point tensor"),
    "gradients.jacobian_product(torch.eye(2))": ("(2, 2)", "at least 3 axes"),
    "gradients.jacobian_products(torch.zeros(0, 2, 2))": ("(0, 2, 2)", "one per step"),
    "gradients.jacobian_products(torch.zeros(4, 2, 3))": ("(4, 2, 3)", "square"),
    "gradients.backpropagate(torch.zeros(3), torch.zeros(4, 2, 2))": ("(3,)", "(4, 2, 2)"),
    "gradients.unroll(torch.nn.RNN(2, 3), torch.zeros(1, 4, 2))": ("batch_first=False", "use one direction"),
    'gradients.unroll("rnn", torch.zeros(1, 4, 2))': ("'rnn'", "torch.nn.RNN"),
    "gradients.unroll(simple, torch.zeros(1, 0, 2))": ("(1, 0, 2)", "at least one step"),
    "gradients.unroll(simple, torch.zeros(4, 2))": ("(4, 2)", "3 axes"),
    "gradients.unroll(torch.nn.GRU(2, 3, bidirectional=True, batch_first=True), torch.zeros(1, 4, 2))": (
        "bidirectional",
        "use one direction",
    ),
    "gradients.gradient_norms(torch.zeros(2), [torch.zeros(1, 2, 3)])": ("tensor([0., 0.])", "use .sum() or .mean()"),
    "gradients.gradient_norms(torch.zeros(()), [])": ("none", "unroll returned"),
    "gradients.gradient_norms(torch.zeros(()), torch.zeros(1, 2, 3))": ("something else", "unroll returned"),
    "gradients.state_gradients(torch.zeros(()), [torch.zeros(1, 2, 3)])": ("no graph", "outside of torch.no_grad()"),
    'gradients.state_gradients("loss", [torch.zeros(1, 2, 3)])': ("'loss'", "a tensor without axes"),
    "gradients.state_jacobians(simple, torch.zeros(4, 2))": ("(4, 2)", "3 axes"),
    "gradients.spectral_radius(torch.zeros(2, 3))": ("(2, 3)", "square"),
    'gradients.spectral_norm(torch.full((2, 2), float("nan")))': ("not finite", "singular values"),
    "gradients.singular_values(np.eye(2))": ("ndarray", "floating-point tensor"),
    "gradients.henrici(torch.eye(2).long())": ("torch.int64", "floating-point"),
    "gradients.power_norms(torch.eye(2), -1)": ("steps=-1", "at least 0"),
    "gradients.with_spectral_radius(torch.eye(2), -1)": ("rho=-1", "from 0 on"),
    'gradients.with_spectral_radius(torch.eye(2), "large")': ("rho='large'", "a number"),
    "gradients.with_spectral_radius(torch.ones(3, 3).triu(1), 0.9)": ("rho=0.9", "eigenvalues of the matrix are zero"),
    'gradients.initial("xavier", 3)': ("'xavier'", "gaussian, uniform, orthogonal, identity"),
    'gradients.initial("gaussian", 0)': ("size=0", "at least 1"),
    'gradients.initial("gaussian", 3, -0.5)': ("rho=-0.5", "from 0 on"),
    "gradients.clip_by_global_norm([], 0)": ("max_norm=0", "positive"),
    'gradients.clip_by_global_norm([], "small")': ("max_norm='small'", "positive"),
    "gradients.clip_by_global_norm([3.0], 1.0)": ("3.0", "model.parameters()"),
}

ATTENTION_AND_TRANSLATION = {
    "look_up(asks, keys[..., :3], keys)": ("5 wide and keys 3", "one width"),
    "look_up(asks, keys, keys[:, :2])": ("(2, 2, 5)", "one value"),
    "look_up(asks, keys, keys, torch.ones(7))": ("torch.float32", "truth values"),
    "look_up(asks, keys, keys, torch.ones(2, 5, dtype=torch.bool))": ("(2, 5)", "(2, 3, 7)"),
    'look_up(asks, keys, keys, scale="large")': ("scale='large'", "finite number"),
    'look_up("where", keys, keys)': ("a str", "floating-point"),
    "scaled_dot_product(asks, keys[..., :3], keys)": ("5 wide and keys 3", "one width"),
    "scaled_dot_product(asks, keys, keys, scale=1j)": ("scale=1j", "finite number"),
    "attend(asks, keys[:1], keys[:1])": ("(2, 3, 5)", "(1, 7, 5)", "batch axes"),
    "attend(asks[None], keys.repeat(2, 1, 1)[None], keys.repeat(2, 1, 1)[None])": ("(1, 4, 7, 5)", "divide evenly"),
    "attend(asks, keys, keys, torch.ones(3, 7))": ("torch.float32", "truth values"),
    "attend(asks, keys, keys, torch.ones(3, dtype=torch.bool))": ("(3,)", "(2, 3, 7)"),
    "attend(asks, keys, keys, dropout=1)": ("dropout=1", "probability"),
    "attend(keys, asks, asks, causal=True)": ("T=7", "S=3", "at least T"),
    "causal_mask(0)": ("T=0", "at least 1"),
    "causal_mask(3, 2)": ("T=3", "S=2", "at least T"),
    "causal_mask(2.5)": ("T=2.5", "whole number"),
    "padding_mask([1, 2])": ("a list", "tensor of shape (B,)"),
    "padding_mask(torch.ones(2))": ("torch.float32", "whole number for each text"),
    "padding_mask(ids + 3, 2)": ("3 to 3", "0 to S=2"),
    "padding_mask(ids - 1, 2)": ("-1 to -1", "0 to S=2"),
    "MultiHeadAttention(10, 3)": ("dim=10", "heads=3", "divisible"),
    "MultiHeadAttention(12, 4, kv_heads=3)": ("heads=4", "kv_heads=3", "divisible"),
    "MultiHeadAttention(12, 0)": ("heads=0", "at least 1"),
    "MultiHeadAttention(12, 4, dropout=1.5)": ("dropout=1.5", "probability"),
    "heads(asks[0])": ("(3, 5)", "(B, length, 5)"),
    "heads(asks[..., :4])": ("(2, 3, 4)", "(B, length, 5)"),
    "heads(asks, keys[:1])": ("memory has 1 texts", "query has 2"),
    "heads(asks, values=asks)": ("without a memory", "give the memory"),
    "heads(asks, keys, values=asks)": ("7 keys and values 3", "one value"),
    "heads(asks, keys, positions=lambda x, offset: x)": ("positions", "self-attention"),
    "heads(asks, mask=torch.ones(2, 3, 3))": ("torch.float32", "truth values"),
    "heads(asks, mask=torch.ones(1, 3, 3, dtype=torch.bool))": ("(1, 3, 3)", "4 axes"),
    "heads(asks, mask=torch.ones(3, 7, dtype=torch.bool))": ("(3, 7)", "(2, 1, 3, 3)"),
    "MultiHeadAttention(5, 1, key_dim=3)(asks)": ("keys 3 and values 5", "give a memory"),
    "Cache().keys": ("empty", "append"),
    "filled.append(keys[None], keys[None])": ("(2, 1, 3, 5)", "(1, 2, 7, 5)", "select()"),
    "filled.append(keys, keys)": ("(2, 7, 5)", "(B, H, N, D)"),
    "heads(asks, keys, cache=filled)": ("3 keys", "(2, 7, 5)", "one memory"),
    "additive(asks[..., :2], keys)": ("(2, 3, 2)", "width 5"),
    "additive(asks, keys[:1])": ("2 rows and keys have 1", "one row of each"),
    "additive(asks, keys, projected=keys)": ("(2, 7, 5)", "(2, 7, 11)"),
    "AdditiveAttention(5, 5, 0)": ("hidden=0", "at least 1"),
    "greedy(net, None, ids, end=1, max_length=3)": ("a FeedForwardLM has not", "step(tokens, state)"),
    "greedy(translator, begun(), [1, 1], end=2, max_length=3)": ("a list", "tensor of token ids"),
    "greedy(translator, begun(), ids, end=2, max_length=0)": ("max_length=0", "at least 1"),
    "greedy(translator, begun(), ids, end=2, max_length=[3])": ("1 numbers for 2 rows", "one per row"),
    "greedy(translator, begun(), ids, end=2, max_length=3, never=[2])": ("end=2 is in never", "Leave it out"),
    "beam(translator, begun(), ids, width=0, end=2, max_length=3)": ("width=0", "at least 1"),
    "beam(translator, begun(), ids, width=2, end=2, max_length=3, results=3)": ("results=3", "width=2"),
    "beam(translator, begun(), ids, width=2, end=2, max_length=3, alpha=-1)": ("alpha=-1", "from 0 on"),
    "sample(translator, begun(), ids, generator=None, end=2, max_length=3)": ("got None", "torch.Generator"),
    "temperature(torch.zeros(2, 3), -1)": ("temperature=-1", "positive"),
    "top_k(torch.zeros(2, 3), 0)": ("top_k=0", "at least 1"),
    "top_p(torch.zeros(2, 3), 2)": ("top_p=2", "at most 1"),
    "repetition_penalty(torch.zeros(2, 3), [1], 1.2)": ("a list", "one row for each"),
    "filtered(torch.zeros(2, 3), repetition=1.2)": ("repetition=1.2", "needs read"),
    "generate(net, [[1]], max_new=3)": ("FeedForwardLM has no begin", "cache=False"),
    "generate(translator, [[]], max_new=3)": ("prompt 0 is empty", "at least one token"),
    "generate(translator, [[1]], max_new=3, top_k=2)": ("top_k=2", "give a generator"),
    "Pairs([], 2, pad=0, start=1, end=2)": ("empty", "at least one text"),
    "Pairs([([], [3])], 2, pad=0, start=1, end=2)": ("source of pair 0 is empty", "leave such pairs out"),
    'Pairs(["ab"], 2, pad=0, start=1, end=2)': ("'ab'", "(source ids, target ids)"),
    "Pairs([([3], [3])], 2, pad=0, start=1, end=2, pool=0)": ("pool=0", "at least 1"),
    "Seq2Seq(7, 0, 3, 5)": ("target_vocab=0", "at least 1"),
    'Seq2Seq(7, 7, 3, 5, cell="tcn")': ("'tcn'", "lstm"),
    "Seq2Seq(7, 7, 3, 5, context=-1)": ("context=-1", "at least 1"),
    "translator(torch.full((2, 3), 7), ids + 1, ids[:, None])": ("id 7", "0 … 6"),
    "translator(torch.zeros(2, 3), ids + 1, ids[:, None])": ("torch.float32", "torch.int64"),
    "translator(ids[:, None], ids + 2, ids[:, None])": ("2", "1"),
    "translator(ids[:, None], ids + 1, ids[:1, None])": ("1 rows for 2 sources", "every source"),
    "translator.align(ids[:, None], ids + 1, ids[:, None])": ("attention=False", "attention=True"),
    'translate(translator, ["ab"], start=1, end=2)': ("strings", "tokenizer"),
    "translate(translator, [[3], []], start=1, end=2)": ("text 1 is empty", "Leave it out"),
    "translate(translator, [[9]], start=1, end=2)": ("id 9", "0 … 6"),
}

TRANSFORMERS = {
    "sinusoidal(3, 5)": ("dim=5 is odd", "even number"),
    "sinusoidal(3, 4, base=-1)": ("base=-1", "above 0"),
    "sinusoidal(3, 4, offset=-1)": ("offset=-1", "at least 0"),
    'shift_matrix("1", 4)': ("k='1'", "finite number"),
    "Sinusoidal(4)(torch.ones(2, 3, 5))": ("(2, 3, 5)", "(B, T, 4)"),
    "Learned(5, 4)(torch.ones(2, 6, 4))": ("0 to 5", "0 to 4", "larger max_length"),
    'Rotary(4, layout="thirds")': ("'thirds'", "halves, pairs"),
    "Rotary(4)(torch.ones(3, 6))": ("6 wide", "width 4"),
    "rotate(torch.ones(3, 4), torch.arange(2))": ("(2,)", "each of the 3 rows"),
    "LayerNorm(3, eps=-1)": ("eps=-1", "small number"),
    'FeedForward(4, activation="swish")': ("'swish'", "relu, gelu"),
    'EncoderLayer(8, 2, norm="both")': ("'both'", "pre, post, none"),
    "EncoderLayer(8, 3)": ("dim=8", "heads=3"),
    "EncoderLayer(8, 2, dropout=1)": ("dropout=1", "probability"),
    "Encoder(8, 2, 0)": ("layers=0", "at least 1"),
    'TransformerLM(7, 8, 2, 1, positions="relative")': ("'relative'", "sinusoidal, learned, rotary, none"),
    "TransformerLM(7, 8, 2, 1)(torch.full((1, 2), 7))": ("7", "6"),
    'TransformerLM(7, 8, 2, 1, positions="learned", max_length=2)(ids[None, [0, 0, 0]])': ("0 to 2", "0 to 1"),
    'TransformerClassifier(7, 8, 2, 1, 2, pool="last")': ("'last'", "mean, max, first"),
    "TransformerTranslator(7, 9, 8, 2, 1, share=True)": ("source_vocab=7", "target_vocab=9"),
    "TransformerTranslator(7, 9, 8, 2, 1)(ids[None], torch.tensor([3]), ids[None])": ("3 to 3", "0 to S=2"),
}

BERT_AND_PRETRAINED = {
    "BertConfig(0)": ("vocab_size=0", "at least 1"),
    'BertConfig("12")': ("vocab_size='12'", "whole number"),
    "BertConfig(12, dim=7, heads=2)": ("dim=7", "heads=2", "multiple"),
    "BertConfig(12, dropout=2)": ("dropout=2", "from 0 up to"),
    "BertConfig(12, eps=-1)": ("eps=-1", "above 0"),
    "Bert(12)": ("12", "BertConfig"),
    "reader(ids)": ("shape (2,)", "2 axes"),
    "reader(ids[None] + 12)": ("12", "0 … 11"),
    "reader(torch.zeros(1, 5, dtype=torch.long))": ("5 tokens", "1 to 4"),
    "reader(ids[None], torch.tensor([1, 1]))": ("shape (2,)", "1 texts"),
    "reader(ids[None], torch.tensor([3]))": ("3", "S=2"),
    "reader(ids[None], None, ids[None] + 2)": ("segments", "2", "0 … 1"),
    "inputs(words, ['a'])": ("WordTokenizer", "WordPiece"),
    "inputs(piece, 'a')": ("'a'", "[text]"),
    "inputs(piece, [])": ("[]", "list of texts"),
    "inputs(piece, [3])": ("text 0 is 3", "pair of strings"),
    "word_places(piece, 'aa ab', 'a')": ("'a'", "0 times"),
    "word_places(piece, 7, 'a')": ("int", "string"),
    "contextual_vectors(reader, piece, ['aa'])": ("['aa']", "(text, word)"),
    "contextual_vectors(reader, piece, [('aa', 'aa')], layer=2)": ("layer=2", "0 (embeddings) to 1"),
    "sentence_vectors(reader, piece, 'aa')": ("'aa'", "[text]"),
    "mean_pool(asks, torch.ones(3))": ("(2, 3, 5)", "(3,)"),
    "BertConfig(12, std=0)": ("std=0", "above 0"),
    "bert.BertMaskedLM(12)": ("int", "BertConfig of a fresh one"),
    "bert.BertPretraining(words)": ("WordTokenizer", "BertConfig"),
    "bert.BertClassifier(reader, 0)": ("classes=0", "at least 1"),
    "bert.BertClassifier(reader, 2, dropout=1)": ("dropout=1", "up to, but not including, 1"),
    "bert.BertTagger(reader, 2.5)": ("tags=2.5", "whole number"),
    "bert.BertSpans(None)": ("NoneType", "Bert"),
    "bert.BertTagger(reader, 3)(ids)": ("shape (2,)", "2 axes"),
    "bert.masked_loss(asks, ids)": ("(2, 3)", "(2,)"),
    "bert.masked_loss(asks, [[1]])": ("targets", "list", "torch.tensor"),
    "bert.masked_loss(asks, torch.full((2, 3), 5))": ("5", "0 to 4, or -100"),
    "bert.tagging_loss(asks, torch.full((2, 3), -1))": ("-1", "0 to 4, or -100"),
    "bert.classification_loss(asks[0], torch.tensor([0, 1, 5]))": ("5", "0 to 4"),
    "bert.classification_loss(asks, ids)": ("(2, 3, 5)", "(B, K)"),
    "bert.span_loss(bert.Spans(asks[0], asks[0]), torch.ones(3).long(), torch.full((3,), 5))": ("ends=[5, 5, 5]", "below [5"),
    "bert.best_span(bert.Spans(asks[0], asks[0]), longest=0)": ("longest=0", "at least 1"),
    "bert.best_span(bert.Spans(asks[0], asks[0]), torch.zeros(3, 5).bool())": ("text 0", "no place"),
    "bert.mask_tokens([[1]], mask_id=4, random_ids=ids, rng=dice)": ("a list", "(B, T)"),
    "bert.mask_tokens(ids[None], mask_id=4, random_ids=ids[:0], rng=dice)": ("(0,)", "at least one id"),
    "bert.mask_tokens(ids[None], mask_id=4, random_ids=ids, rng=3)": ("3", "default_rng"),
    "bert.mask_tokens(ids[None], noise=0.15, mask_id=4, random_ids=ids, rng=dice)": (
        "0.15",
        "MaskingNoise",
    ),
    "bert.MaskedTexts('a b', 2, **hidden)": ("one text", "[text]"),
    "bert.MaskedTexts([3], 2, **hidden)": ("at least one string",),
    "bert.MaskedTexts(['a'], 2, tokenizer=words)": ("WordTokenizer", "WordPiece"),
    "bert.MaskedTexts(['a'], 2, random_words=['zebra'], **hidden)": ("'zebra'", "no token"),
    "bert.MaskedTexts(['a'], 2, pool=0, **hidden)": ("pool=0", "at least 1"),
    "bert.MaskedTexts(['a'], 2, longest=2, **hidden)": ("longest=2", "at least 5"),
    "bert.SentencePairs([['a', 'b']], 2, **hidden)": ("1 documents", "second such document"),
    "bert.SentencePairs(['a b'], 2, **hidden)": ("lists of sentences",),
    "bert.SentencePairs([['a', 3]], 2, **hidden)": ("a sentence a string",),
    "bert.word_tokenizer(['a b'])": ("'a b'", "without white space"),
    "bert.word_tokenizer([])": ("empty", "no word"),
    "bert.pretrain(reader, [], steps=0, lr=1)": ("steps=0", "at least 1"),
    "bert.measure(reader, [])": ("no word was chosen", "higher rate"),
    "bert.best_possible(tiny, known, [])": ("no word was chosen", "higher rate"),
    "bert.fill(bert.BertMaskedLM(reader), known, '[MASK]')": ("9 tokens", "the model 12"),
    "bert.fill(filler, known, 'a b')": ("'a b'", "[MASK]"),
    "bert.fill(filler, known, '[MASK]', top=0)": ("top=0", "at least 1"),
    "bert.word_inputs(known, ['a b'])": ("at least one list of words",),
    "bert.word_targets(bert.word_inputs(known, [['a', 'b']]), [[1]])": ("1 tags", "2 words", "one tag per word"),
    "bert.layer_features(reader, known, [['a'] * 9])": ("11 tokens", "1 to 4"),
    "bert.LayerChoice('sum', 12)": ("'sum'", "embeddings, last"),
    "bert.LayerChoice('concatenated_last_four', 2)": ("at least 4", "has 2"),
    "bert.LayerChoice('last', 2)(torch.zeros(1, 4, 2, 3))": ("4 layers", "2 and the embeddings"),
    "bert.WeightedSum(0)": ("n=0", "at least 1"),
    "bert.concatenated(torch.zeros(1, 3, 2, 3))": ("2 layers", "4 are needed"),
    "pretrained.head_names(Bert, 2)": ("Bert", "BertPretraining"),
    'pretrained.load_bert_for("no-such-folder", bert.BertTagger)': ("config.json", "no-such-folder"),
    'pretrained.load_labels("no-such-folder")': ("config.json", "no-such-folder"),
    'save_bert("no-such-folder", words, piece)': ("WordTokenizer", "cannot be saved"),
    'save_bert("no-such-folder", bert.BertTagger(reader, 3), piece, ["O"])': ("['O']", "3 different names"),
    "from_huggingface(reader, {}, bert_names(1))": ("lacks 23 names", "embeddings.LayerNorm.bias"),
    "from_huggingface(reader, {}, {})": ("the name table", "lacks 19 names"),
    "to_huggingface(reader, bert_names(2))": ("12 names", "does not know", "layers.1."),
    'load_bert("no-such-folder")': ("config.json", "no-such-folder"),
}

VISION = {
    "patchify(pixels, 4)": ("1 × 4 × 6", "4 × 4", "divides both sides"),
    "patchify(pixels, 0)": ("patch=0", "at least 1"),
    "patchify(pixels[0], 2)": ("(1, 4, 6)", "(B, c, h, w)", "images[:, None]"),
    "patchify('a', 2)": ("str", "(B, c, h, w)"),
    "unpatchify(pixels, 2, 4, 6)": ("(2, 1, 4, 6)", "(B, N, P · P · c)"),
    "unpatchify(pixels[0], 2, 4, 6)": ("(1, 4, 6)", "6 patches", "multiple of 4"),
    "unpatchify(pixels[0], 2, 5, 6)": ("5 × 6", "divides both sides"),
    "VitConfig(30)": ("30 × 30", "patch=16", "divisor of both"),
    "VitConfig((4, 6, 1))": ("(4, 6, 1)", "rows and columns"),
    "VitConfig('4')": ("image_size='4'", "whole number"),
    "VitConfig(dim=7, heads=2)": ("dim=7", "heads=2", "multiple"),
    "VitConfig(dropout=1)": ("dropout=1", "up to, but not including, 1"),
    "VitConfig(eps=-1)": ("eps=-1", "above 0"),
    "Vit(16)": ("16", "VitConfig"),
    "Vit(small, position_std=-1)": ("position_std=-1", "from 0 on"),
    "Captioner(small, 7, positions='rotary')": ("positions='rotary'", "sinusoidal, learned, none"),
    "VitClassifier(small, 0)": ("classes=0", "at least 1"),
    "VitClassifier(small, 3, vit=reader)": ("Bert", "must be a Vit"),
    "sees(pixels[:, :, :, :4])": ("(2, 1, 4, 4)", "(B, 1, 4, 6)"),
    "sees(pixels.long())": ("torch.int64", "floating-point"),
    "Captioner(small, 0)": ("vocab_size=0", "at least 1"),
    "Captioner(small, 7)(pixels, ids[None])": ("1 rows", "2 pictures"),
    "Captioner(small, 7)(pixels, ids[:, None] + 7)": ("7", "0 … 6"),
    "Captioner(small, 7, positions='learned', max_length=1)(pixels, ids[:, None].expand(2, 2))": ("0 to 1", "max_length"),
    "Pictures(pixels, [1], 2)": ("1 entries", "2 pictures"),
    "Pictures([[0.5]], [1], 2)": ("list", "(N, h, w)"),
    "Pictures(pixels, [0.5, 1.5], 2)": ("labels", "whole numbers"),
    "vit.moved(pixels, 4)": ("(2, 1, 4, 6)", "sides above most=4"),
    "vit.moved(pixels, -1)": ("most=-1", "at least 0"),
    "Captions(pixels, [[3]], 2, pad=0, start=1, end=2)": ("1 entries", "2 pictures"),
    "pretrained.load_vit('nowhere')": ("config.json", "needs it"),
    "pretrained.load_vit_classifier('nowhere')": ("config.json", "needs it"),
    "pretrained.save_vit_classifier('nowhere', sees, ['a'])": ("1 labels", "3 classes"),
    "pretrained.save_vit_classifier('nowhere', reader)": ("Bert", "VitClassifier"),
    "from_huggingface(sees, {}, pretrained.vit_names(1))": ("lacks 24 names", "classifier.bias"),
}

GPT_AND_LLAMA = {
    "GPTConfig(0)": ("vocab_size=0", "at least 1"),
    "GPTConfig(9, dim=10, heads=3)": ("dim=10", "heads=3", "or head_dim"),
    "GPTConfig(9, heads=4, kv_heads=3)": ("heads=4", "kv_heads=3", "divisor"),
    "GPTConfig(9, kv_heads=0)": ("kv_heads=0", "at least 1"),
    "GPTConfig(9, dropout=1)": ("dropout=1", "up to, but not including, 1"),
    "GPTConfig(9, std=0)": ("std=0", "above 0"),
    'GPTConfig(9, activation="swish")': ("'swish'", "relu, gelu, gelu_tanh, silu, swiglu"),
    'GPTConfig(9, norm="batch")': ("'batch'", "layer, rms"),
    'GPTConfig(9, positions="sinusoidal")': ("'sinusoidal'", "learned, rotary, none"),
    'GPTConfig(9, dim=9, heads=3, positions="rotary")': ("a head has 3", "even head_dim"),
    'GPTConfig.gpt2("tiny")': ("'tiny'", "small, medium, large, xl"),
    "GPT(9)": ("9", "GPTConfig"),
    "gpt(torch.full((1, 2), 9))": ("9", "0 … 8"),
    "gpt(ids)": ("(2,)", "2 axes"),
    "gpt(torch.zeros(1, 5, dtype=torch.long))": ("0 to 4", "0 to 3"),
    "gpt(ids[None], torch.tensor([3]))": ("3", "0 to S=2"),
    'as_language_model(gpt, ["a"])': ("9 words", "1 different"),
    "as_language_model(model, ['a'])": ("NGram", "must be a GPT"),
    "fit(schedule='cosine', final=2)": ("final=2", "from 0 to 1"),
    "pretrain(gpt, [], steps=0, lr=0.1)": ("steps=0", "at least 1"),
    "fast(simple)": ("RNN", "a GPT or a Llama"),
    "fast(gpt).begin(ids[None] + 9)": ("the id 9", "0 … 8"),
    "fast(gpt).step(torch.tensor([0, -1]), fast(gpt).begin())": ("the id -1", "0 … 8"),
    "fast(gpt).step(ids[None], fast(gpt).begin())": ("shape (1, 2)", "with 1 axes"),
    "fast(gpt).begin(torch.zeros(1, 5, dtype=torch.long))": ("0 to 4", "0 to 3", "larger max_length"),
    "Llama(GPTConfig(9, dim=6, heads=2))": ("GPTConfig", "LlamaConfig"),
    "LlamaConfig(9, dim=6, heads=2)": ("a head has 3", "even"),
    'llama.changed(gpt.config, "RoPE")': ("'RoPE'", "'rotary positions'"),
    "llama.changed(gpt.config, kv_heads=1)": ("kv_heads=1", "'grouped queries'"),
    "llama.with_parameters(gpt.config, 7)": ("parameters=7", "narrower"),
    "llama.with_parameters(gpt.config, 0)": ("parameters=0", "at least 1"),
    "llama.swiglu_hidden(0)": ("hidden=0", "at least 1"),
    "llama.RMSNorm(3, eps=-1)": ("eps=-1", "small number"),
    'EncoderLayer(8, 2, norm_type="batch")': ("'batch'", "layer, rms"),
    "EncoderLayer(8, 2, hidden_dropout=2)": ("hidden_dropout=2", "probability"),
    "MultiHeadAttention(8, 2, head_dim=0)": ("head_dim=0", "at least 1"),
    'pretrained.load("gpt5")': ("'gpt5'", "gpt2, bert-base-uncased"),
    'pretrained.load("gpt2")': ("http://127.0.0.1:9/models/openai-community/gpt2/config.json", "put them there", "load("),
    'pretrained.download("gpt5")': ("'gpt5'", "SmolLM2-135M"),
    'pretrained.load_gpt2("no-such-folder")': ("config.json", "no-such-folder"),
    'pretrained.load_llama("no-such-folder")': ("config.json", "no-such-folder"),
    'pretrained.load_tokenizer("no-such-folder")': ("vocab.json", "no-such-folder"),
    'pretrained.save_gpt2("no-such-folder", reader)': ("Bert", "must be a GPT"),
    'pretrained.save_llama("no-such-folder", gpt)': ("GPT", "must be a Llama"),
    "from_huggingface(gpt, {}, pretrained.gpt2_names(1))": ("lacks 16 names", "transformer.h.0.attn.c_attn.bias"),
}

TUNING = {
    'tuning.few_shot_prompt("France", "Kenya")': ("'France'", "pairs of a question and its answer"),
    'tuning.few_shot_prompt([("a", "b", "c")], "Kenya")': ("('a', 'b', 'c')", "pairs of a question"),
    'tuning.few_shot_prompt([("a", "")], "b")': ("''", "one or more words"),
    "tuning.few_shot_prompt([], 3)": ("3 is", "one or more words"),
    "tuning.Answers([], 2, pad=0, start=1, end=2)": ("texts is empty", "at least one text"),
    'tuning.Answers([("ab", [3])], 2, pad=0, start=1, end=2)': ("not strings", "tokenizer"),
    "tuning.Answers([([3], [4])], 2, pad=0, start=1, end=-2)": ("end=-2", "at least 0"),
    "tuning.Preferences([([1], [2])], 2, reference=gpt, pad=0, start=1, end=2)": ("([1], [2])", "the preferred answer"),
    "tuning.dpo_loss(*[torch.zeros(3)] * 4, beta=0)": ("beta=0", "positive finite number"),
    "tuning.preference_loss(True)": ("beta=True", "positive finite number"),
    "world.Sheets(lines=0)": ("lines=0", "from 1 to 18"),
    "world.Sheets(lines=12)": ("lines=12", "number has 10 questions"),
    "world.Sheets(slips=2)": ("slips=2", "from 0 to 1"),
    'world.Sheets(tasks=("colour",))': ("'colour'", "capital, language"),
    'world.Sheets(labels=("Ann",))': ("('Ann',)", "at least mixed=2"),
    "world.Sheets().sample(-1, 0)": ("n=-1", "0 or more"),
    'world.Sheets().answers([("dog", "Paris")], "cat")': ("('dog', 'Paris')", "no sheet begins"),
}

PAGES_AND_FIGURES = {
    'corpora.load("shakespeare")': ("'shakespeare'", "tiny_shakespeare"),
    "corpora.load(7)": ("7 is", "tiny_shakespeare"),
    'corpora.available("x")': ("'x'", "tiny_shakespeare"),
    "corpora.sha256(None)": ("None", "tiny_shakespeare"),
    'corpora.load("wnut17")': ("wnut17/wnut17train.conll", "put that file at no-such-folder/wnut17/wnut17train.conll"),
    "corpora.film_reviews()": ("http://127.0.0.1:9/rt_polarity", "LMCORE_DATA"),
    'device.seed_all("x")': ("'x'", "non-negative integer"),
    "device.seed_all(1.5)": ("1.5", "non-negative integer"),
    "ledger.Page(7)": ("7 is", "01_language_models"),
    'ledger.Page("01.md")': ("'01.md'", "01_language_models"),
    'ledger.Page("99_page", config=["a"])': ("['a']", "a dict"),
    'page.log("", 1)': ("''", "letters, digits"),
    'page.log("x", "one")': ("'one'", "finite number"),
    'page.log("x", float("nan"))': ("nan", "finite number"),
    'page.log("x", torch.ones(2))': ("tensor([1., 1.])", "one by one"),
    'page.table({"A": "nothing"})': ("'nothing'", "known so far"),
    "page.table({})": ("{}", "a dict from label to name"),
    'page.table("x")': ("'x'", "a dict from label to name"),
    'page.skip("x y", "no data")': ("'x y'", "letters, digits"),
    'page.skip("x", 5)': ("reason=5", "in words"),
    "page.spread(3)": ("3 cannot", "letters, digits"),
    'check.check("no_such_exercise", lambda: 1)': ("'no_such_exercise'", "the exercises are"),
    "check.check(7, 7)": ("int: 7", "name of an exercise"),
    'check.pack_submission("no_such_chapter", "Ann")': ("'no_such_chapter'", "exercises' folder"),
    'check.pack_submission("01_language_models", "")': ("''", "your name"),
    'widgets.NextWord(**{**figure, "stories": []})': ("0 texts", "at least one"),
    'widgets.NextWord(**{**figure, "models": {}})': ("empty", "at least one"),
    'widgets.NextWord(**{**figure, "models": {"a": 3}})': ("'a' is 3", "next_distribution"),
    'widgets.NextWord(**{**figure, "truth": "truth"})': ("'truth'", "next_distribution"),
    "widgets.NextWord(**figure, top=0)": ("top is 0", "1 to 50"),
    "widgets.MergeStepper(7)": ("int 7", "string"),
    'widgets.MergeStepper("abab", merges=-1)': ("merges is -1", "1 to 1000"),
    'widgets.MergeStepper("abab", level="letters")': ("'letters'", "'bytes'"),
    "widgets.PositionViewer(1)": ("length is 1", "2 to 128"),
    'widgets.FillBlank("bert", "vocab.txt", ["a ___"])': ("got a str", "BertPretraining"),
    'widgets.DecodingPlayground({}, ["a"])': ("got {}", "at least one label"),
    'widgets.BeamTree("gpt", ["a"], ["a"])': ("got a str", "a GPT or a RecurrentLM"),
    'widgets.CacheSteps("gpt", ["a"], ["a"])': ("got a str", "must be a GPT"),
    "widgets.cache_bytes(0, 1, 1, 1)": ("layers=0", "from 1 on"),
    'widgets.CacheModel("mine", 1, 6, 4, 8, 64, "me")': ("kv_heads=4", "heads=6", "divisor"),
    'widgets.CacheSizes("Llama")': ("'Llama'", "list of CacheModel"),
    'widgets.TimeLine(["GPT"])': ("['GPT']", "list of two or more Milestone"),
    'widgets.Milestone("GPT", 2018, 13, "decoder", 1, "books", "It writes.", "me")': ("month is 13", "1 to 12"),
    'widgets.PromptTask("capitals", [])': ("is 0", "1 to 100"),
    'widgets.PromptLab({}, ["a"], [])': ("got {}", "one to three labels"),
    'widgets.PromptLab({"GPT": gpt}, ["a"], ["capitals"])': ("['capitals']", "list of PromptTask"),
    'widgets.Adventure(start="moon")': ("'moon'", "village"),
    'widgets.TextAdventure("gpt", ["a"])': ("got a str", "a GPT or a RecurrentLM"),
    'widgets.TextAdventure(gpt, ["a"], game="castle")': ("'castle'", "Adventure"),
    'widgets.NextTokens({}, ["a"])': ("got {}", "at least one label"),
    'widgets.NextTokens({"GPT": ("gpt", ["a"])}, ["a"])': ("got a str", "a GPT or a RecurrentLM"),
    'widgets.NextTokens({"GPT": (gpt, ["a"])}, ["a"])': ("1 tokens", "the model 9"),
    'widgets.NextTokens({"GPT": (gpt, ["a"])}, "a")': ("got 'a'", "write [text]"),
    'widgets.page_models.WordList(["a"]).encode("b")': ("b:", "vocabulary of 1 words"),
    "widgets.model_file.pack({})": ("got a dict", "torch module"),
    'widgets.model_file.unpack(b"weights")': ("not the bytes of a packed model", "pack(model)"),
    "widgets.model_file.rounded(None)": ("got a NoneType", "torch module"),
    "widgets.PositionViewer(9, 7)": ("dim is 7", "even"),
    "widgets.PositionViewer(9, 4, learned=torch.ones(8, 4))": ("(8, 4)", "at least 9 rows"),
    'widgets.ArchitectureWalk("encoder")': ("'encoder'", "'whole', 'block'"),
    "widgets.ArchitectureWalk(dim=30, heads=4)": ("dim=30", "heads=4"),
    "widgets.ArchitectureWalk(vocabulary=(3, 0))": ("(3, 0)", "two positive numbers"),
    "widgets.CostCurves(dim=30, heads=4)": ("dim=30", "heads=4"),
    'widgets.CostCurves({"GRU": [(8, 1.0)]})': ("'GRU'", "'RNN', 'LSTM', 'Transformer'"),
    'widgets.CostCurves({"RNN": [(8, -1.0)]})': ("(8, -1.0)", "seconds above 0"),
    "widgets.VanishingLab(size=1)": ("size is 1", "2 to 64"),
    "widgets.VanishingLab(size=3, radii=(2, 1))": ("(2, 1)", "the smaller first"),
    "widgets.VanishingLab(size=3, radius=7)": ("radius is 7", "0.5 to 1.5"),
    'widgets.VanishingLab(size=3, nonlinearity="sigmoid")': ("'sigmoid'", "'linear', 'tanh', 'relu'"),
    'widgets.VanishingLab(size=3, initialisation="xavier")': ("'xavier'", "'orthogonal'"),
    'widgets.VanishingLab(size=3, matrices={"mine": np.eye(2)})': ("'mine'", "(3, 3)"),
    'widgets.BottleneckSqueezer(["a"], [], str)': ("got none", "at least one"),
    'widgets.BottleneckSqueezer(["a"], ["b"], "model")': ("'model'", "function"),
    'widgets.BottleneckSqueezer(["a"], ["b"], lambda texts, k: [])': ("got none", "at least one"),
    'widgets.BottleneckSqueezer(["a"], ["b"], lambda texts, k: texts, (0, 1))': ("squeezes is 0", "1 to 1"),
    'widgets.BottleneckSqueezer(["a"], ["b"], lambda texts, k: texts, (1, 1))': ("(1, 1)", "none twice"),
    "widgets.AlignmentExplorer([])": ("got none", "at least one"),
    'widgets.AlignmentExplorer([("a b", "c", [[0.5, 0.4]], None)])': ("sums to 0.9", "sum to 1"),
    'widgets.AlignmentExplorer([("a b", "c", np.eye(2), None)])': ("(2, 2)", "(1, 2)"),
    'widgets.AlignmentExplorer([("a", "b", [[1]], [(1, 0)])])': ("(1, 0)", "0 to 0"),
    'widgets.AttentionCalculator("a b", np.eye(3), *[np.eye(3)] * 3)': ("(3, 3)", "(2, any)"),
    'widgets.AttentionCalculator("a", [[2000]], *[[[1]]] * 3)': ("2000", "-1000 to 1000"),
    'widgets.AttentionCalculator("a", [[1]], *[[[1]]] * 3, causal="yes")': ("'yes'", "True, False"),
    'widgets.HeadExplorer(["a b"], [])': ("attentions of 0", "[layers heads T T]"),
    'widgets.HeadExplorer(["a b"], [np.eye(2)])': ("(2, 2)", "(any, any, 2, 2)"),
    'widgets.HeadExplorer(["a"], [np.ones((1, 1, 1, 1))], layer=1)': ("layer is 1", "0 to 0"),
    'widgets.LayerChooser(["a b"], [["O"]], [])': ("1 tags for sentence 0", "2 words"),
    'widgets.LayerChooser(["a"], [["O"]], [("last", (1,), "one layer", [["O"]])])': ("('last'", "LayerChoice(name, layers"),
    'widgets.LayerChooser(["a"], [["O"]], [widgets.LayerChoice("x", (1, 2), "mean", [["O"]])])': ("'mean'", "'weighted sum'"),
    'widgets.LayerChooser(["a"], [["O"]], [widgets.LayerChoice("x", (9,), "one layer", [["O"]])], depth=2)': ("(9,)", "to 2"),
    "widgets.table_7(0)": ("depth is 0", "1 to 24"),
    "widgets.PatchAttention(np.ones((1, 4, 6)), [], [0], [[1.0]], 4)": ("patch is int 4", "height 4 and width 6"),
    "widgets.PatchAttention(np.ones((1, 4, 6)), [], [0], [[1.0]], 2)": ("attentions of 0", "every image needs its own"),
    "widgets.PatchAttention(np.ones((1, 2, 2)), [np.ones((1, 1, 2, 2)) / 2], [7], [[1.0]], 2)": ("a label is 7", "0 to 0"),
    'widgets.CaptionAttention(np.ones((1, 2, 2)), ["a b"], [np.ones((1, 1, 1, 1))], 2)': ("(1, 1, 1, 1)", "(any, any, 2, any)"),
    'widgets.CaptionAttention(np.ones((2, 2, 2)), ["a"], [], 2)': ("1 captions", "every image needs its own"),
    'widgets.SoftLookUp(np.eye(2), [1, 2], ["a"])': ("['a']", "2 keys"),
    'widgets.SoftLookUp(np.eye(3), [1, 2, 3], list("abc"))': ("(3, 3)", "(any, 2)"),
    'widgets.SoftLookUp(np.eye(2), [1, 2], list("ab"), temperature=-1)': ("temperature is -1", "0 to 10"),
    'widgets.EmbeddingMap(["a"], np.eye(2))': ("(2, 2)", "(1, C)"),
    'widgets.EmbeddingMap(["a", "b", "c"], np.eye(3))': ("(3, 3)", "at least 4 words"),
    'widgets.EmbeddingMap(list("abcd"), np.eye(4), analogy=("a", "b", "zebra"))': ("'zebra'", "'a', 'b', 'c', 'd'"),
    'widgets.EmbeddingMap(list("abcd"), np.eye(4), analogy=tuple("abc"), groups={"g": ["zebra"]})': ("'zebra'", "4 words"),
    'widgets.EmbeddingMap(list("abcd"), np.eye(4), analogy=tuple("abc"), k=0)': ("k is 0", "1 to 3"),
    "widgets.UnrolledNetwork(3, **spoken)": ("'model'", "RecurrentLM"),
    'widgets.UnrolledNetwork(gated, **{**spoken, "vocabulary": 3})': ("got 3", "list of words"),
    'widgets.UnrolledNetwork(gated, **{**spoken, "texts": "a b"})': ("'a b'", "[text]"),
    'widgets.UnrolledNetwork(gated, **{**spoken, "texts": ["a zebra"]})': ("'zebra'", "2 words", "a, b"),
    "widgets.UnrolledNetwork(gated, **spoken, top=None)": ("top", "int"),
    "widgets.UnrolledNetwork(gated, **spoken, step=3)": ("step is 3", "0 to 2"),
    "widgets.GateExplorer(gated, **spoken)": ("RecurrentLM", "a dict from name to model"),
    'widgets.GateExplorer({"A": RecurrentLM(4, 3, 2)}, **spoken)': ("cell='rnn'", "'lstm', 'gru'"),
    'widgets.GateExplorer({"A": gated}, **spoken, unit=2)': ("unit is 2", "-1 to 1"),
    'widgets.GateExplorer({"A": gated}, **spoken, model="B")': ("'B'", "'A'"),
}

CALLS = (
    TOKENISERS
    | LANGUAGE_MODELS
    | WORLD
    | TRAINING
    | EMBEDDINGS
    | RECURRENT
    | GRADIENTS
    | ATTENTION_AND_TRANSLATION
    | TRANSFORMERS
    | BERT_AND_PRETRAINED
    | VISION
    | GPT_AND_LLAMA
    | TUNING
    | PAGES_AND_FIGURES
)
ALLOWED = {"ValueError", "FileNotFoundError", "DownloadError"}  # DownloadError is a FileNotFoundError


@pytest.fixture(scope="module")
def answers() -> dict[str, str]:
    return errors(PRELUDE, CALLS)


@pytest.mark.parametrize("call", CALLS)
def test_the_message_says_what_was_given_and_what_is_allowed(call: str, answers: dict[str, str]) -> None:
    kind, _, message = answers[call].partition(": ")
    assert kind in ALLOWED, answers[call]
    for piece in CALLS[call]:
        assert piece in message


def test_a_wrong_answer_would_be_noticed() -> None:
    """The harness itself: a call that works, and one that fails in Python's own words."""
    found = errors("", ["1 + 1", "1 + 'a'"])
    assert found["1 + 1"] == "no error"
    assert found["1 + 'a'"].startswith("TypeError")
