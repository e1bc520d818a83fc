"""A machine that runs nothing: it notes every command and answers as it was told to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from fabfile.runner.system.machine import CommandFailed, Machine, Result

Answer = str | tuple[int, str, str]


class Recorder(Machine):
    """Answers by the first key that the command begins with; anything else says nothing and succeeds."""

    def __init__(self, folder: Path, answers: Mapping[str, Answer] | None = None) -> None:
        super().__init__(folder, folder / "backups")
        self.answers = dict(answers or {})
        self.calls: list[tuple[str, ...]] = []
        self.users: list[str | None] = []

    def run(
        self,
        argv: Sequence[str],
        *,
        user: str | None = None,
        timeout: float = 30.0,
        stdin: bytes | None = None,
        ok: tuple[int, ...] | None = (0,),
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
    ) -> Result:
        """Note the command and answer. Raises CommandFailed as the real one does."""
        assert not isinstance(argv, str), "a command is a list of words"
        assert all(isinstance(word, str) and word for word in argv), f"not words: {argv}"
        assert timeout > 0
        self.calls.append(tuple(argv))
        self.users.append(user)
        words = " ".join(argv)
        answer = next((told for key, told in self.answers.items() if words.startswith(key)), "")
        code, out, err = answer if isinstance(answer, tuple) else (0, answer, "")
        if ok is not None and code not in ok:
            raise CommandFailed(f"{words} ended with {code}", code=code, said=err or out)
        return Result(tuple(argv), code, out, err)

    def said(self, *first: str) -> list[tuple[str, ...]]:
        """The commands that began with these words."""
        return [call for call in self.calls if call[: len(first)] == first]
