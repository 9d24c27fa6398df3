"""``python -m tests.blind``: the share of wrong answers by strangers to the banks that get the right hint.

``python -m tests.blind --sheet first`` prints mistake and hints of one round side by side as JSON, to be judged.
"""

import json
import sys

from tests import blind


def sheet(folder: str) -> dict[str, dict[str, str]]:
    """What there is to judge; verdicts on hints that have not changed are kept."""
    known = blind.judgements(folder) if (blind.HERE / folder / "now.json").is_file() else {}
    found = {}
    for answer in blind.answers(folder):
        old, entry = known.get(answer.place, {}), {"mistake": answer.text}
        for by, result in zip(("pack", "grader"), blind.results(answer), strict=True):
            entry[by] = blind.shown(result)
            entry[f"{by}_verdict"] = old.get(f"{by}_verdict", "") if old.get(by) == entry[by] else ""
        found[answer.place] = entry
    return found


if __name__ == "__main__":
    asked = sys.argv[1:]
    print(json.dumps(sheet(asked[1]), indent=1, ensure_ascii=False) if asked[:1] == ["--sheet"] else blind.tables())
