"""Names that answers to these exercises do not need, and what each is suspected of (see :mod:`exercises.grader.scan`)."""

INNARDS = "reaches into the interpreter"
THREADS = "what runs beside the function is not watched"
OUTSIDE = "reaches out of the notebook"
HIDDEN = "runs code that this list cannot see"
KERNELS = "another road to ready-made functions"
READY_MADE = "a package with ready-made answers"


def _table(rows: dict[str, str]) -> dict[str, str]:
    """From each of the words of a row to its reason; a reason may have several rows."""
    return {word: reason for words, reason in rows.items() for word in words.split()}


# Modules, with everything inside.
MODULES = _table(
    {
        "ctypes cffi gc inspect faulthandler atexit signal resource builtins site sitecustomize usercustomize": INNARDS,
        "mock unittest copyreg opcode cProfile profile _lsprof": INNARDS,
        "threading _thread multiprocessing concurrent joblib asyncio": THREADS,
        "subprocess socket _socket urllib requests http httpx ftplib smtplib ssl pty fcntl mmap posix": OUTSIDE,
        "_posixsubprocess shutil exercises": OUTSIDE,
        "importlib imp pickle _pickle marshal dill cloudpickle shelve runpy code codeop zipimport pkgutil": HIDDEN,
        "transformers tokenizers tiktoken sacrebleu seqeval nltk gensim sentencepiece flash_attn xformers": READY_MADE,
        "torchtext huggingface_hub sklearn": READY_MADE,
    }
)
# Parts of modules.
PARTS = _table(
    {
        "sys.setprofile sys.settrace sys._getframe sys._current_frames sys.monitoring sys.modules sys.meta_path": INNARDS,
        "sys.path_hooks sys.addaudithook sys.exc_info types.CodeType types.FunctionType": INNARDS,
        "operator.attrgetter operator.methodcaller": INNARDS,
        "torch.multiprocessing torch.distributed": THREADS,
        "numpy.load numpy.fromfile numpy.memmap numpy.ctypeslib numpy.lib.format": OUTSIDE,
        "torch.hub torch.load torch.serialization torch.package": HIDDEN,
        "torch.jit torch.compile torch.ops torch.overrides torch.library torch.fx torch.utils.cpp_extension": KERNELS,
        "torch.ao torch.export torch.onnx": KERNELS,
    }
)
BUILTINS = _table(
    {"exec eval compile __import__": HIDDEN, "globals breakpoint __builtins__ __loader__ __spec__": INNARDS},
)
ATTRIBUTES = _table(
    {
        "__subclasses__ __globals__ __code__ __closure__ __builtins__ __wrapped__ __self__ __mro__ __getattribute__": INNARDS,
        "__traceback__ tb_frame tb_next f_back f_locals f_globals f_builtins gi_frame cr_frame ag_frame": INNARDS,
        "as_subclass __file__": INNARDS,
    }
)
# Methods by which an object can seem to be what it is not, or run code when nobody calls it.
METHODS = _table(
    {
        "__class__ __instancecheck__ __subclasscheck__": "objects of this class may not be what they seem",
        "__torch_function__ __torch_dispatch__ __array_function__ __array_ufunc__": "operations may not be what they seem",
        "__reduce__ __reduce_ex__ __del__": "runs when nobody calls it",
    }
)
# Modules whose names should not come into a notebook all at once: which of them are used cannot be seen then.
STARS = ("torch", "lmcore", "sys", "os")
# What of os a notebook may use.
OF_OS = _table({"path environ getenv getcwd makedirs mkdir listdir sep linesep cpu_count getpid name fspath": "harmless"})
# What of lmcore.check a notebook may use.
OWN = (
    "lmcore.check.check",
    "lmcore.check.pack_submission",
    "lmcore.check.encoder.real_encoder",
    "lmcore.check.gpt2.real_gpt2",
)
# Modules whose parts nobody should replace.
PATCHED = _table({"torch numpy lmcore builtins sys os math random scipy functools operator IPython": "used by everything else"})
