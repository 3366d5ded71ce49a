#!/usr/bin/env python3
"""The reference of the Python package: HTML from the docstrings of python/usertcp, and from docs/python.md, its guide.

`tools/reference.py FOLDER` writes FOLDER/index.html, the guide, and a page for each module. It reads the sources and imports nothing. Whatever is
public and has no docstring is an error, as is a link to what is not there. Python's standard library is all it needs.
"""

from __future__ import annotations

import ast
import html
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import manual

PACKAGE = manual.ROOT / "python/usertcp"
GUIDE = manual.ROOT / "docs/python.md"
MODULES = ("usertcp", "usertcp.sim", "usertcp.pytest_plugin", "usertcp.aio")
# Members that every socket, stack or data class has and nobody looks up.
DUNDERS = {"__enter__", "__exit__", "__iter__", "__len__", "__getitem__"}
# What stands for itself: the figures of struct tcp_info have the names that Linux gives them.
UNDOCUMENTED = {"TcpInfo"}
FIELDS = re.compile(r"(\*{0,2}\w+(?:, \*{0,2}\w+)*): +(\S.*)")


@dataclass
class Entry:
    """Something public: what it is, how it is written, and what is said of it."""

    kind: str
    name: str
    code: str
    text: list[str]
    members: list[Entry] = field(default_factory=list)


class Missing(Exception):
    """A public name without a docstring, or that cannot be found."""


missing: list[str] = []


# ---- the sources ----


def source(module: str) -> Path:
    """The file of a module: the stub of what is compiled."""
    place = manual.ROOT / "python" / module.replace(".", "/")
    for path in (place / "__init__.py", place.with_suffix(".py"), place.with_suffix(".pyi")):
        if path.exists():
            return path
    raise SystemExit(f"there is no module {module}")


trees: dict[str, ast.Module] = {}


def tree(module: str) -> ast.Module:
    """The parsed source of a module."""
    if module not in trees:
        trees[module] = ast.parse(source(module).read_text())
    return trees[module]


def exported(module: str) -> list[str]:
    """`__all__`, or whatever is defined there without an underscore."""
    for node in tree(module).body:
        if isinstance(node, ast.Assign) and any(isinstance(each, ast.Name) and each.id == "__all__" for each in node.targets):
            names: list[str] = ast.literal_eval(node.value)
            return [name for name in names if not name.startswith("_") or name == "__version__"]
    return [name for name, _ in defined(tree(module).body) if not name.startswith(("_", "pytest_"))]


def defined(body: list[ast.stmt]) -> list[tuple[str, int]]:
    """The names that statements define, each with the number of the statement; of overloads the last."""
    found: dict[str, int] = {}
    for number, node in enumerate(body):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            found.setdefault(node.name, number)
            if said(node) or not is_overload(node):
                found[node.name] = number
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.setdefault(node.target.id, number)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found.setdefault(node.targets[0].id, number)
    return list(found.items())


def is_overload(node: ast.AST) -> bool:
    return any(ast.unparse(each) == "overload" for each in getattr(node, "decorator_list", []))


def home(module: str, name: str) -> tuple[list[ast.stmt], int]:
    """The statements of the module that defines a name, and which of them does."""
    body = tree(module).body
    for node in body:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("usertcp"):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return home(node.module, alias.name)
    for each, number in defined(body):
        if each == name:
            return body, number
    raise SystemExit(f"{module} exports {name}, but does not define it")


def said(node: ast.AST) -> list[str]:
    """The lines of a docstring."""
    text = ast.get_docstring(node) if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef, ast.Module)) else None
    return text.split("\n") if text else []


def below(body: list[ast.stmt], number: int) -> list[str]:
    """The docstring below an attribute."""
    if number + 1 < len(body) and isinstance(after := body[number + 1], ast.Expr) and isinstance(after.value, ast.Constant):
        if isinstance(after.value.value, str):
            return [line.strip() for line in after.value.value.strip().split("\n")]
    return []


def entry(body: list[ast.stmt], number: int, owner: str = "") -> Entry:
    """What a statement defines."""
    node = body[number]
    where = f"{owner}." if owner else ""
    match node:
        case ast.ClassDef():
            made = of_class(node)
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            made = of_function(node, owner)
        case ast.AnnAssign(target=ast.Name(id=name)):
            value = f" = {ast.unparse(node.value)}" if node.value and len(ast.unparse(node.value)) < 60 else ""
            made = Entry("value", name, f"{name}: {ast.unparse(node.annotation)}{value}", below(body, number))
        case ast.Assign(targets=[ast.Name(id=name), *_]):
            made = Entry("value", name, ast.unparse(node), below(body, number))
        case _:
            raise SystemExit(f"what is {ast.unparse(node)}?")
    if not any(made.text) and made.name not in DUNDERS and made.name != "__version__" and owner not in UNDOCUMENTED:
        missing.append(where + made.name)
    return made


def of_class(node: ast.ClassDef) -> Entry:
    body = node.body
    bases = [ast.unparse(base) for base in node.bases if ast.unparse(base) not in ("Protocol", "NamedTuple")]
    code = f"class {node.name}" + (f"({', '.join(bases)})" if bases else "")
    begin = next((each for each in body if isinstance(each, ast.FunctionDef) and each.name == "__init__"), None)
    # What a stack or a network makes has an `__init__` for them alone.
    if begin is not None and not re.search(r"\braw\b|_usertcp|_begin\(", ast.unparse(begin.args)):
        code += "\n" + signature(begin, node.name, first=True)
    made = Entry("class", node.name, code, said(node))
    for name, number in defined(body):
        if name in DUNDERS or not name.startswith("_"):
            if name in DUNDERS and not said(body[number]):
                continue
            made.members.append(entry(body, number, node.name))
    return made


def of_function(node: ast.FunctionDef | ast.AsyncFunctionDef, owner: str) -> Entry:
    marks = [ast.unparse(each) for each in node.decorator_list]
    if "property" in marks:
        returns = f": {ast.unparse(node.returns)}" if node.returns else ""
        return Entry("property", node.name, node.name + returns, said(node))
    if any(mark.startswith("pytest.fixture") for mark in marks):
        value = ast.unparse(node.returns).removeprefix("Iterator[").removesuffix("]") if node.returns else ""
        return Entry("fixture", node.name, f"fixture {node.name}: {value}", said(node))
    return Entry("function", node.name, signature(node, node.name, first=bool(owner) and "staticmethod" not in marks), said(node))


def signature(node: ast.FunctionDef | ast.AsyncFunctionDef, name: str, *, first: bool) -> str:
    """A definition on as many lines as it takes; without its first argument, which is the object."""
    given = node.args
    arguments = [ast.unparse(ast.arguments([], [each], None, [], [], None, [])) for each in (*given.posonlyargs, *given.args)]
    defaults = [*([None] * (len(arguments) - len(given.defaults))), *given.defaults]
    arguments = [put(text, value) for text, value in zip(arguments, defaults)]
    if given.posonlyargs and len(given.posonlyargs) > first:
        arguments.insert(len(given.posonlyargs), "/")
    arguments = arguments[first:]
    if given.vararg:
        arguments.append(f"*{ast.unparse(given.vararg)}")
    elif given.kwonlyargs:
        arguments.append("*")
    arguments += [put(ast.unparse(each), value) for each, value in zip(given.kwonlyargs, given.kw_defaults)]
    if given.kwarg:
        arguments.append(f"**{ast.unparse(given.kwarg)}")
    returns = f" -> {ast.unparse(node.returns)}" if node.returns and node.name != "__init__" else ""
    begin = ("async " if isinstance(node, ast.AsyncFunctionDef) else "") + name
    line = f"{begin}({', '.join(arguments)}){returns}"
    if len(line) <= 100:
        return line
    return "\n".join([f"{begin}(", *(f"    {each}," for each in arguments), f"){returns}"])


def put(text: str, value: ast.expr | None) -> str:
    if value is None:
        return text
    shown = "..." if ast.unparse(value).startswith("_") else ast.unparse(value)
    return f"{text} = {shown}" if ":" in text else f"{text}={shown}"


# ---- HTML ----


def written(lines: list[str], where: dict[str, str]) -> list[str]:
    """A docstring: paragraphs, code, tables, and lists of fields such as `name:  what it is`."""
    out: list[str] = []
    plain: list[str] = []
    at = 0

    def rest() -> None:
        if any(plain):
            out.extend(manual.html_blocks(plain, where))
        plain.clear()

    while at < len(lines):
        begins = at == 0 or not lines[at - 1].strip() or (out and not plain)
        if begins and (match := FIELDS.fullmatch(lines[at])) and is_fields(lines, at):
            rest()
            out.append("<dl>")
            while at < len(lines) and (match := FIELDS.fullmatch(lines[at])):
                text = [match[2]]
                at += 1
                while at < len(lines) and lines[at].startswith("   ") and lines[at].strip():
                    text.append(lines[at].strip())
                    at += 1
                said = manual.linked("\n".join(text), where)
                out.append(f"<dt><code>{html.escape(match[1])}</code></dt><dd>{said}</dd>")
            out.append("</dl>")
        elif lines[at].startswith("|"):
            rest()
            rows = []
            while at < len(lines) and lines[at].startswith("|"):
                rows.append([cell.strip() for cell in lines[at].strip("|").split("|")])
                at += 1
            out.append("<table>")
            for number, row in enumerate(rows):
                if number != 1:
                    tag = "td" if number else "th"
                    out.append("<tr>" + "".join(f"<{tag}>{manual.linked(cell, where)}</{tag}>" for cell in row) + "</tr>")
            out.append("</table>")
        elif lines[at].startswith("```"):
            end = next(number for number in range(at + 1, len(lines)) if lines[number].startswith("```"))
            rest()
            out.append("<pre>" + html.escape("\n".join(lines[at + 1 : end])) + "</pre>")
            at = end + 1
        else:
            plain.append(lines[at])
            at += 1
    rest()
    return out


def is_fields(lines: list[str], at: int) -> bool:
    """Whether a line begins a list of fields and no sentence: what comes after is more of them, or belongs to them."""
    after = lines[at + 1] if at + 1 < len(lines) else ""
    return not after.strip() or after.startswith("   ") or FIELDS.fullmatch(after) is not None


def shown(each: Entry, where: dict[str, str], anchor: str, level: int) -> list[str]:
    out = [f'<h{level} id="{anchor}"><code>{html.escape(each.name)}</code></h{level}>', f"<pre>{html.escape(each.code)}</pre>"]
    out += written(each.text, where)
    brief = [member for member in each.members if not any(member.text)]
    if brief:
        out.append("<p>" + ", ".join(f"<code>{html.escape(member.code)}</code>" for member in brief) + "</p>")
    for member in each.members:
        if any(member.text):
            out += ['<div class="member">', *shown(member, where, f"{anchor}.{member.name}", 4), "</div>"]
    return out


def own_links(lines: list[str]) -> list[str]:
    """A page of docs, whose links to its neighbours lead out of this folder."""
    broken = [
        target
        for line in lines
        for target in re.findall(r"\]\(([^)#:]+)\)", line)
        if not (GUIDE.parent / target).exists()
    ]
    if broken:
        raise SystemExit(f"{GUIDE.name}: there is no {', '.join(broken)}")
    return [re.sub(r"\[([^]]+)\]\((?!http)[^)]+\)", r"\1", line) for line in lines]


def main() -> None:
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    chapters = {module: [entry(*home(module, name)) for name in exported(module)] for module in MODULES}
    if missing:
        raise SystemExit(f"no docstring: {', '.join(sorted(missing))}")
    where: dict[str, str] = {}
    for module, entries in chapters.items():
        for each in entries:
            anchor = f"{module}.html#{each.name}"
            where.setdefault(each.name, anchor)
            where[f"{module}.{each.name}"] = anchor
            for member in each.members:
                where[f"{each.name}.{member.name}"] = f"{anchor}.{member.name}"
    version = re.search(r'^version = "(.*)"', (manual.ROOT / "Cargo.toml").read_text(), re.M)
    assert version is not None
    heading, *lines = own_links(GUIDE.read_text().rstrip("\n").split("\n"))
    menu = [("index.html", "guide"), *((f"{module}.html", module) for module in MODULES)]
    navigation = " | ".join(f'<a href="{file}">{text}</a>' for file, text in menu)
    style = manual.STYLE + "\n.member { margin-left: 2em } h4 { margin-bottom: .3em } th { text-align: left } td, th { padding-right: 1.5em; vertical-align: top }"

    def page(file: str, title: str, body: list[str]) -> None:
        head = f'<!DOCTYPE html>\n<html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title><style>{style}</style>'
        foot = f"<hr><p>usertcp {version[1]}</p></html>"
        (folder / file).write_text("\n".join([head, f"<nav>{navigation}</nav>", f"<h1>{html.escape(title)}</h1>", *body, foot]) + "\n")

    page("index.html", heading.removeprefix("# "), written(lines, where))
    for module, entries in chapters.items():
        contents = " | ".join(f'<a href="#{each.name}">{html.escape(each.name)}</a>' for each in entries)
        body = [*written(said(tree(module)), where), f"<nav>{contents}</nav>"]
        for each in entries:
            body += shown(each, where, each.name, 3)
        page(f"{module}.html", module, body)


if __name__ == "__main__":
    main()
