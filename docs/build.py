"""Reference pages from docstrings and help texts: ``python docs/build.py`` writes ``docs/reference/``."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import os
import re
from pathlib import Path

HERE = Path(__file__).parent
SECTIONS = ("Args", "Attributes", "Returns", "Raises", "Yields")


def main(out: Path = HERE / "reference") -> None:
    """Write one page per package and one for the command line."""
    out.mkdir(exist_ok=True)
    for package in ("clip2", "data_prep"):
        (out / f"{package}.md").write_text(package_page(package), encoding="utf-8")
    (out / "cli.md").write_text(command_page(), encoding="utf-8")


def package_page(package: str) -> str:
    """Markdown of every public name of a package, in the order of ``__all__``."""
    module = importlib.import_module(package)
    names = [name for name in module.__all__ if not name.startswith("__")]
    parts = [f"# Python: `{package}`\n", markdown(module.__doc__ or "")]
    for name in names:
        parts += [f"\n## `{package}.{name}`\n", entry(name, getattr(module, name))]
    return "\n".join(parts) + "\n"


def entry(name: str, thing: object) -> str:
    """Signature and docstring of a function or a class, with the class's public methods."""
    text = [signature(name, thing), markdown(inspect.getdoc(thing) or "")]
    if inspect.isclass(thing):
        for key, member in vars(thing).items():
            function = member.__func__ if isinstance(member, classmethod | staticmethod) else member
            if key.startswith("_") or not inspect.isfunction(function) or not function.__doc__:
                continue
            text += [
                f"\n### `{name}.{key}`\n",
                signature(key, function),
                markdown(inspect.getdoc(function) or ""),
            ]
    return "\n".join(text)


def signature(name: str, thing: object) -> str:
    """Code block of a call with its parameters, one per line if they are many."""
    try:
        found = inspect.signature(thing)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return ""
    shown = [str(parameter) for key, parameter in found.parameters.items() if key not in ("self", "cls")]
    call = f"{name}({', '.join(shown)})"
    if len(call) > 80:
        call = f"{name}(\n    " + ",\n    ".join(shown) + ",\n)"
    result = (
        "" if found.return_annotation in (found.empty, None, "None") else f" -> {found.return_annotation}"
    )
    # Full module names of annotations hide what a reader looks for.
    return "```python\n" + re.sub(r"\b(?:\w+\.)+(\w+)", r"\1", (call + result).replace("'", "")) + "\n```\n"


def markdown(docstring: str) -> str:
    """A Google-style docstring as Markdown: sections become lists, examples become code blocks."""
    text = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", docstring).replace("``", "`")
    out: list[str] = []
    in_section = in_example = False
    for line in text.splitlines():
        if in_example and not line.strip():
            out += ["```", ""]
            in_example = False
        elif not in_example and line.lstrip().startswith(">>>"):
            out += ["", "```python"]
            in_example, in_section = True, False
        heading = line.strip().removesuffix(":")
        if not in_example and line.strip().endswith(":") and heading in SECTIONS:
            out += ["", f"**{heading}**", ""]
            in_section = True
        elif in_example:
            out.append(line.strip() if line.lstrip().startswith((">>>", "...")) else line)
        elif in_section and line.startswith("    ") and not line.startswith("        "):
            term = re.match(r"\s+([\w*`., ()\[\]]+?): (.*)", line)
            out.append(f"- `{term[1].strip('`')}`: {term[2]}" if term else f"- {line.strip()}")
        elif in_section and line.strip():
            out.append(f"  {line.strip()}")
        else:
            in_section = in_section and not line.strip()
            out.append(line)
    return "\n".join([*out, *(["```"] if in_example else [])])


def command_page() -> str:
    """Help texts of the command and all its subcommands."""
    from clip2.cli.main import COMMANDS

    parts = ["# Command line\n", f"```text\n{help_text()}\n```\n"]
    for name in COMMANDS:
        parts += [f"## `clip2 {name}`\n", f"```text\n{help_text(name)}\n```\n"]
    return "\n".join(parts)


def help_text(*command: str) -> str:
    """What ``clip2 COMMAND --help`` prints, 100 columns wide, without colors."""
    from clip2.cli import main as run

    os.environ.update(COLUMNS="100", NO_COLOR="1", TERM="dumb")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        run([*command, "--help"])
    return re.sub(r"\x1b\[[0-9;]*m", "", printed.getvalue()).strip()


if __name__ == "__main__":
    main()
