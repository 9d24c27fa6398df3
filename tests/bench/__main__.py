"""Run every benchmark: ``python -m tests.bench [NAME ...]``. Each prints ratios against a peer measured in the same run."""

import importlib
import pkgutil
import sys

import tests.bench


def main() -> None:
    known = sorted(m.name for m in pkgutil.iter_modules(tests.bench.__path__) if m.name != "__main__")
    asked = sys.argv[1:] or known
    for name in asked:
        if name not in known:
            sys.exit(f"no benchmark {name!r}; there are {', '.join(known)}")
        print(f"\n== {name} ==", flush=True)
        sys.argv = [name]
        importlib.import_module(f"tests.bench.{name}").main()


if __name__ == "__main__":
    main()
