"""``python -m tests.blind``: the share of wrong answers by strangers to the banks that get the right hint.

``python -m tests.blind --sheet`` prints mistake and hints side by side as JSON, to be judged.
"""

import json
import sys

from tests import blind


def sheet() -> dict[str, dict[str, str]]:
    """What there is to judge; verdicts on hints that have not changed are kept."""
    known = blind.judgements() if (blind.HERE / "judgements.json").is_file() else {}
    found = {}
    for answer in blind.answers():
        old, entry = known.get(answer.place, {}), {"mistake": answer.mistake}
        for by, result in zip(("pack", "grader"), blind.results(answer), strict=True):
            entry[by] = blind.shown(result)
            entry[f"{by}_verdict"] = old.get(f"{by}_verdict", "") if old.get(by) == entry[by] else ""
        found[answer.place] = entry
    return found


if __name__ == "__main__":
    print(json.dumps(sheet(), indent=1, ensure_ascii=False) if "--sheet" in sys.argv[1:] else blind.table())
