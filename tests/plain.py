"""What a reader sees for bad input: the same calls without the type checks that ``conftest`` adds to the package."""

import json
import subprocess
import sys
from collections.abc import Iterable


def errors(prelude: str, expressions: Iterable[str]) -> dict[str, str]:
    """Evaluate every expression after ``prelude`` in one fresh Python; per expression "ErrorType: message", or "no error"."""
    program = f"""
import json, sys
{prelude}
found = {{}}
for expression in json.load(sys.stdin):
    try:
        eval(expression)
        found[expression] = "no error"
    except Exception as error:
        found[expression] = f"{{type(error).__name__}}: {{error}}"
json.dump(found, sys.stdout)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], input=json.dumps(list(expressions)), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
