"""The command `svhn`: its verbs and flags, and errors that people can act on.

Standard library only until the verb is known, so that help, completion and mistakes are answered instantly.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TextIO

from svhncli import __version__
from svhncli.core.errors import DiskError, Interrupted, SvhnError, UsageError, disk_error
from svhncli.core.signals import EXIT_CODES, SAVE
from svhncli.core.streams import stand_ins
from svhncli.core.text import printable

FLAGS = {
    "--help": "show this help; after a verb: all of its keys",
    "--version": "show the versions of svhn, Python and torch",
    "--resume": "[RUN] continue a run or sweep; without RUN the latest",
    "--multirun": "train every combination of lr=1e-3,3e-4 model=cnn,mlp",
    "--json": "print the result as JSON, and nothing else, to standard output",
    "--quiet": "show no progress",
    "--debug": "show the full traceback of an error",
    "--cfg": "job|hydra|all: check the config and print it, without running",
    "--resolve": "with --cfg: resolve references to other keys",
    "--package": "PART with --cfg: print one part, such as optim",
    "--info": "[all|config|defaults|defaults-tree|plugins|searchpath] about Hydra",
    "--config-dir": "DIR a folder with choices of your own",
    "--hydra-help": "show Hydra's own help",
}
SHORT = {
    "-h": "--help",
    "-m": "--multirun",
    "-q": "--quiet",
    "-c": "--cfg",
    "-p": "--package",
    "-i": "--info",
    "-cd": "--config-dir",
    "-cn": "--config-name",
    "-cp": "--config-path",
    "-sc": "--shell-completion",
}
VALUES: dict[str, tuple[str, ...]] = {
    "--cfg": ("job", "hydra", "all"),
    "--package": (),
    "--info": ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"),
    "--config-dir": (),
}
"""Hydra's flags that take a value, and the values they allow; empty for any."""
REFUSED = {
    "--experimental-rerun": "it unpickles a file; use --resume",
    "--config-name": "the verb is the config",
    "--config-path": "the configs are part of svhn; add your own choices with --config-dir",
    "--shell-completion": "svhn has its own: svhn completion bash",
}


class CommandLine:
    """A parsed command line."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.flags: set[str] = set()
        self.hydra: list[str] = []
        self.resume: str | None = None


def parse(argv: list[str]) -> CommandLine:
    """Separate flags and words; flags may stand anywhere.

    Raises:
        UsageError: an unknown flag, or a value that a flag does not take.
    """
    if ends := [word for word in argv if word.endswith("\r")]:
        raise UsageError(
            f"{ends[0]!r} ends in a carriage return",
            "the script has the line ends of Windows: save it with those of Unix, such as with dos2unix",
        )
    line, rest = CommandLine(), list(argv)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-") or word == "-":
            line.words.append(word)
            continue
        written, joined, value = word.partition("=")
        name = SHORT.get(written, written)
        if name in REFUSED:
            raise UsageError(f"{name} is not supported", REFUSED[name])
        if name not in FLAGS:
            from svhncli.cli import catalog, suggest
            from svhncli.config import rules

            key = written.lstrip("-")
            if key in {*catalog.keys("train"), *catalog.defaults("train")}:
                raise UsageError(f"unknown flag {written}", f"write {key}={value or '...'}, without dashes")
            if name in ("--config", "--conf") and suggest.is_config(file := value or "".join(rest[:1])):
                raise UsageError(f"unknown flag {name}", suggest.own_config(file))
            if os.path.lexists(word):
                raise UsageError(
                    f"unknown flag {name}",
                    f"if you mean the file or folder of that name: {os.path.join(os.curdir, word)}",
                )
            near = rules.closest(name, FLAGS)
            raise UsageError(f"unknown flag {name}", f"did you mean {near}?" if near else "see: svhn --help")
        if name == "--resume":
            is_value = (
                bool(rest) and not rest[0].startswith("-") and ("=" not in rest[0] or os.path.exists(rest[0]))
            )
            line.resume = value if joined else rest.pop(0) if is_value else ""
        elif name in VALUES:
            allowed = VALUES[name]
            if not joined:
                is_value = bool(rest) and not rest[0].startswith("-") and (not allowed or rest[0] in allowed)
                value = rest.pop(0) if is_value else "all" if name == "--info" else rest[0] if rest else ""
            if not value or (allowed and value not in allowed):
                from svhncli.cli import suggest

                wanted = " or ".join(allowed) or "a value"
                hint = (
                    suggest.own_config(value)
                    if suggest.is_config(value)
                    else f"such as {name} {(*allowed, 'DIR')[0]}"
                )
                raise UsageError(
                    f"{name} takes {wanted}, not '{value}'" if value else f"{name} takes {wanted}", hint
                )
            line.hydra += [name, value]
        elif joined:
            raise UsageError(f"{name} takes no value", f"write {name} alone")
        elif name in ("--resolve", "--hydra-help"):
            line.hydra.append(name)
        else:
            line.flags.add(name)
    return line


def run(line: CommandLine) -> int:
    """Do what a command line asks for; the exit code.

    Raises:
        SvhnError: an error that the user can fix.
    """
    verb, words = (line.words or [""])[0], line.words[1:]
    groups: list[str] = []
    if verb == "help":
        line.flags.add("--help")
        verb, groups, words = (words or [""])[0], words[1:], []
    if "--version" in line.flags:
        print(_versions())
        return 0
    if verb == "completion":
        from svhncli.cli import completion

        print(completion.script(words[0] if words else ""))
        return 0
    if not verb:
        return _print_help(_overview(), asked="--help" in line.flags)

    from svhncli.config.verbs import VERBS

    if verb not in VERBS:
        from svhncli.cli import suggest

        raise suggest.unknown_verb(verb)
    if "--help" in line.flags:
        from svhncli.cli import helptext

        if any(word.startswith("plugins=") for word in words):  # their parts are listed, too
            from svhncli.cli import grammar, hydra_app

            hydra_app.load_plugins(grammar.parse(words, verb))
        return _print_help(helptext.of_verb(verb, FLAGS, SHORT, groups))

    try:
        os.getcwd()
    except FileNotFoundError as error:
        raise DiskError("the current folder was removed", "change to another one with cd") from error

    from svhncli.cli import catalog, dispatch

    goes_on = catalog.is_trainer(verb) or catalog.is_search(verb)
    if not goes_on and (line.resume is not None or "--multirun" in line.flags):
        raise UsageError(f"svhn {verb} takes neither --resume nor --multirun")
    words, many = plain_words(words, verb)
    with _quiet() if "--quiet" in line.flags else nullcontext():
        return dispatch.run(
            verb,
            line.hydra,
            words,
            many,
            resume=line.resume,
            multirun="--multirun" in line.flags,
            as_json="--json" in line.flags,
            debug="--debug" in line.flags,
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """In the block nothing shows progress; the processes of a launcher inherit the environment."""
    before = os.environ.get("SVHN_QUIET")
    os.environ["SVHN_QUIET"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["SVHN_QUIET"]
        else:
            os.environ["SVHN_QUIET"] = before


def plain_words(words: list[str], verb: str) -> tuple[list[str], dict[str, list[str]]]:
    """Turn plain words, including existing files with a `=` in their names, into values of keys.

    Returns:
        The words as overrides, and the values of a last key that takes many: these bypass Hydra, whose parser
        takes a minute for the thousands of files that a shell's `*` can expand to.
    """
    from svhncli.cli import catalog
    from svhncli.config.words import quote

    keys, last = catalog.plain_keys(verb), catalog.many_key(verb)
    left = [key for key in keys if not any(word.startswith(f"{key}=") for word in words)]
    overrides: list[str] = []
    many: dict[str, list[str]] = {}
    for word in words:
        if "=" in word and not os.path.exists(word):
            overrides.append(word)
        elif last is not None and left[:1] == [last]:
            many.setdefault(last, []).append(word)
        else:
            overrides.append(f"{left.pop(0)}={quote(word)}" if left else word)
    return overrides, many


def _overview() -> str:
    """The text of `svhn --help`, as `make docs` has generated it."""
    with open(os.path.join(os.path.dirname(__file__), "overview.txt"), encoding="utf-8") as file:
        return file.read().removesuffix("\n")


def _print_help(text: str, asked: bool = True) -> int:
    print(text, file=sys.stdout if asked else sys.stderr)
    return 0 if asked else 2


def _versions() -> str:
    import platform
    from importlib.metadata import version  # importing torch would take seconds

    return f"svhn {__version__} (Python {platform.python_version()}, torch {version('torch')})"


def explain(error: Exception, debug: bool) -> int:
    """Print an error in a few lines, or with its traceback if it is a bug in svhn; the exit code."""
    import traceback

    known = error if isinstance(error, SvhnError) else disk_error(error)
    try:
        if known is None or debug:
            traceback.print_exception(error)
        if known is None:
            print(f"svhn: error: {type(error).__name__}: {error}\n  this is a bug in svhn", file=sys.stderr)
            return 1
        message = printable(known.message).replace("\n", "\n  ")
        rank = os.environ.get("RANK", "0")  # torchrun starts several processes
        who = "svhn" if rank == "0" else f"svhn: rank {rank}"
        print(
            f"{who}: {message}" if isinstance(known, Interrupted) else f"{who}: error: {message}",
            *(f"  hint: {line}" for line in printable(known.hint).splitlines()),
            sep="\n",
            file=sys.stderr,
        )
    except OSError:  # nobody can read it, but the exit code still says it
        _silence(sys.stderr)
    return 1 if known is None else known.exit_code


def _silence(stream: TextIO) -> None:
    """Let what a broken stream still holds go nowhere, so that the flush at exit cannot fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class _Terminated(BaseException):
    """A signal that ends a job arrived outside of any code that handles it."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


def _terminate(number: int, _: object) -> None:
    raise _Terminated(EXIT_CODES[signal.Signals(number)])


@contextmanager
def _ending_cleanly() -> Iterator[None]:
    """In the block, signals raise an exception, so that folders, locks and temporary files are cleaned up.

    A caller's handlers are put back; in a thread, which can have none, they stay as they are. Output that a
    stream's encoding cannot write is replaced, not an error.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in EXIT_CODES:
            if number != signal.SIGINT and signal.getsignal(number) == signal.SIG_DFL:
                before[number] = signal.signal(number, _terminate)
        if SAVE is not None and signal.getsignal(SAVE) == signal.SIG_DFL:
            before[SAVE] = signal.signal(
                SAVE, signal.SIG_IGN
            )  # while nothing is trained there is nothing to save
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def main(argv: list[str] | None = None) -> int:
    """Run `svhn`; the exit code."""
    with stand_ins():
        return _main(sys.argv[1:] if argv is None else argv)


def _main(argv: list[str]) -> int:
    if argv[:1] == ["--complete"]:  # called by the shells' scripts with words that are not a command
        from svhncli.cli import completion

        sys.stdout.writelines(f"{line}\n" for line in completion.candidates(argv[1:], FLAGS, SHORT, VALUES))
        return 0
    try:
        with _ending_cleanly():
            code = run(parse(argv))
            sys.stdout.flush()
            return code
    except _Terminated as ended:
        print("svhn: terminated", file=sys.stderr)
        return ended.exit_code
    except BrokenPipeError:
        _silence(sys.stdout)
        return 141  # the exit code that shells report for SIGPIPE
    except KeyboardInterrupt:
        print("svhn: interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        return explain(error, "--debug" in argv)
