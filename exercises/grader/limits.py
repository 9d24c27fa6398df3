"""How much of everything a submission may take. Time and memory of a call come with its question."""

from dataclasses import dataclass

from lmcore.check.question import Question


@dataclass(frozen=True)
class Limits:
    """Limits of a sandbox; seconds are those of the clock on the wall.

    Attributes:
        start: for a sandbox to be ready; no code of a student has run by then.
        cell: for one cell of a notebook, and ``cells`` for all of them together, each time they are run.
        grace: for an answer beyond its question's own limit.
        processes: that run at a time, threads included.
        files: open in one process.
        file_bytes: of one file.
        disk: bytes of each folder that can be written to, and ``names`` the files in all of them.
        reply: bytes of one answer, and ``header`` those of its JSON.
        replies: bytes of all answers to one question.
        slack: bytes of address space beyond a question's memory, which threads reserve and do not use.
    """

    start: float = 90.0
    cell: float = 5.0
    cells: float = 10.0
    grace: float = 1.5
    processes: int = 64
    files: int = 256
    file_bytes: int = 32 << 20
    disk: int = 64 << 20
    names: int = 20_000
    reply: int = 16 << 20
    header: int = 2 << 20
    replies: int = 64 << 20
    slack: int = 1 << 30

    def whole(self, question: Question) -> float:
        """Seconds for one question, its cells and all of its cases, public and hidden."""
        return 4 * question.seconds + self.cells
