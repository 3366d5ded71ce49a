#!/usr/bin/env python3
"""The manual of the C library: man pages and HTML, from include/usertcp.h and the written pages docs/c.md and docs/ABI.md; and the program's.

`tools/manual.py FOLDER` writes FOLDER/man and FOLDER/html. Each chapter of the header becomes a page named after its first function, and every
other function, type and initializer of it a page that refers there. Python's standard library is all it needs.
"""

from __future__ import annotations

import html
import os
import re
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# A written page and the section of the manual that it is in; its heading has its name.
WRITTEN = (("docs/c.md", 7), ("docs/ABI.md", 7), ("docs/trace.md", 7))
WORD = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*|\*([^*\s][^*]*)\*|\[([^]]+)\]\(([^)]+)\)|(?<![\w-])(-?E[A-Z0-9]{3,}|USERTCP_[A-Z0-9_]+|usertcp_\w+(?:\(\))?)|\b([a-z_0-9]+)\(([1-8])\)")


@dataclass
class Item:
    """A declaration with its comment, as lists of lines."""

    kind: str
    name: str
    code: list[str]
    comment: list[str]


@dataclass
class Chapter:
    """A part of the header, or a written page."""

    title: str
    intro: list[str]
    items: list[Item] = field(default_factory=list)

    @property
    def page(self) -> str:
        return next(item.name for item in self.items if item.kind == "function")

    @property
    def names(self) -> list[str]:
        kinds = ("function", "type")
        return [item.name for kind in kinds for item in self.items if item.kind == kind]


# ---- the header ----


def bare(lines: list[str]) -> list[str]:
    """The text of a block comment."""
    text = "\n".join(lines).strip()
    inside = text.removeprefix("/*").lstrip("*").removesuffix("*/").split("\n")
    return [re.sub(r"^\s*\* ?", "", line).rstrip() if n else line.strip() for n, line in enumerate(inside)]


def name_of(code: str) -> tuple[str, str]:
    """What a declaration is, and of what."""
    if match := re.match(r"#define (\w+)", code):
        return "constant", match[1]
    if match := re.match(r"typedef struct (\w+) \{", code):
        return "type", match[1]
    if match := re.match(r"typedef [^;{]*\(\*(\w+)\)", code):
        return "type", match[1]
    if match := re.match(r"typedef [^;{(]*?(\w+);", code):
        return "type", match[1]
    if match := re.match(r"[^;{(]*?(\w+)\(", code):
        return "function", match[1]
    raise SystemExit(f"include/usertcp.h: what is this? {code}")


def declaration(lines: list[str], at: int) -> int:
    """Where a declaration that begins at a line ends."""
    struct = "{" in lines[at] and lines[at].startswith("typedef")
    while lines[at].endswith("\\") if lines[at].startswith("#") or lines[at - 1].endswith("\\") else (
        not lines[at].startswith("}") if struct else not lines[at].endswith(";")
    ):
        at += 1
    return at + 1


def read_header(path: Path) -> tuple[list[str], list[Chapter]]:
    """The comment at the top, and the chapters."""
    lines = path.read_text().split("\n")
    top: list[str] = []
    chapters: list[Chapter] = []
    at = 0
    comment: list[str] = []
    while at < len(lines):
        line = lines[at]
        if line.lstrip().startswith("/*"):
            end = at
            while "*/" not in lines[end]:
                end += 1
            text = bare(lines[at : end + 1])
            if line.startswith("/* ---"):
                text = [part for part in text if not part.startswith("---")]
                chapters.append(Chapter(text[0], strip(text[1:])))
            elif line.startswith("/**"):
                comment = text
            elif not top:
                top = strip(text)
            at = end + 1
        elif chapters and (line.startswith(("typedef", "#define")) or re.match(r"\w.*\(", line)):
            end = declaration(lines, at)
            code = lines[at:end]
            chapters[-1].items.append(Item(*name_of("\n".join(code)), code, strip(comment)))
            comment = []
            at = end
        else:
            at += 1
    return top, place_initializers(chapters)


def strip(lines: list[str]) -> list[str]:
    return "\n".join(lines).strip("\n").split("\n") if any(lines) else []


def place_initializers(chapters: list[Chapter]) -> list[Chapter]:
    """Each initializer goes behind its type; a chapter of nothing else is none."""
    home = {item.name: (chapter, n) for chapter in chapters for n, item in enumerate(chapter.items)}
    for chapter in chapters:
        for item in list(chapter.items):
            kind = item.name.removesuffix("_INIT").lower() + "_t"
            if item.name.endswith("_INIT") and kind in home and home[kind][0] is not chapter:
                chapter.items.remove(item)
                there = home[kind][0].items
                there.insert([other.name for other in there].index(kind) + 1, item)
    return [chapter for chapter in chapters if any(item.kind == "function" for item in chapter.items)]


def blocks(lines: list[str]) -> list[tuple[str, list[str]]]:
    """Paragraphs, code, headings and items of comments and of the written pages."""
    found: list[tuple[str, list[str]]] = []
    fenced = False
    open_block = False
    for line in lines:
        if line.startswith("```"):
            fenced = not fenced
            open_block = False
            if fenced:
                found.append(("code", []))
        elif fenced:
            found[-1][1].append(line)
        elif not line.strip():
            if found and found[-1][0] == "code" and found[-1][1] and not fenced:
                found[-1][1].append("")
            open_block = False
        elif match := re.match(r"#+ (.*)", line):
            found.append(("heading", [match[1]]))
            open_block = False
        elif line.startswith("|"):
            if not (found and found[-1][0] == "table" and open_block):
                found.append(("table", []))
            found[-1][1].append(line)
            open_block = True
        elif line.startswith("* "):
            found.append(("item", [line[2:]]))
            open_block = True
        elif line.startswith("  ") and not (open_block and found[-1][0] in ("item", "text")):
            if not (found and found[-1][0] == "code"):
                found.append(("code", []))
            found[-1][1].append(line)
        elif open_block:
            found[-1][1].append(line.strip())
        else:
            found.append(("text", [line]))
            open_block = True
    for kind, text in found:
        while kind == "code" and text and not text[-1]:
            text.pop()
    return found


def cells(line: str) -> list[str]:
    """Those of a row of a table."""
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def rows(table: list[str]) -> tuple[list[str], list[list[str]]]:
    """The names of its columns, and what is below them."""
    return cells(table[0]), [cells(line) for line in table[2:]]


def synopsis(chapter: Chapter, kind: str) -> list[list[str]]:
    return [item.code for item in chapter.items if item.kind == kind]


# ---- man pages ----


def roff(text: str) -> str:
    """Plain text, safe anywhere in a line."""
    return text.replace("\\", "\\e").replace("-", "\\-").replace("~", "\\(ti").replace("^", "\\(ha").replace("`", "\\(ga")


def prose(text: str) -> str:
    """Text with its words of code in bold and emphasis in italics."""
    out = []
    last = 0
    for match in WORD.finditer(text):
        out.append(roff(text[last : match.start()]).replace("\\-", "-"))
        code, strong, soft, shown, _, symbol, page, section = match.groups()
        if page:
            out.append(f"\\fB{roff(page)}\\fP({section})")
        elif shown:
            out.append(f"\\fI{roff(shown)}\\fP")
        elif soft:
            out.append(f"\\fI{roff(soft)}\\fP")
        elif symbol and symbol.endswith("()"):
            out.append(f"\\fB{roff(symbol[:-2])}\\fP()")
        else:
            out.append(f"\\fB{roff(code or strong or symbol)}\\fP")
        last = match.end()
    out.append(roff(text[last:]).replace("\\-", "-"))
    return "\n".join(guard(line) for line in "".join(out).split("\n"))


def guard(line: str) -> str:
    return "\\&" + line if line.startswith((".", "'")) else line


def literal(lines: list[str]) -> list[str]:
    return [".EX", *(guard(roff(line)) or ".sp" for line in lines), ".EE"]


def man_blocks(lines: list[str], first: str = ".PP") -> list[str]:
    out: list[str] = []
    for n, (kind, text) in enumerate(blocks(lines)):
        if kind == "heading":
            out += [f'.SH "{roff(text[0]).upper()}"' if "\\" not in roff(text[0]) else f'.SH "{text[0].upper()}"']
        elif kind == "code":
            out += [".PP" if n else first, ".RS 4", *literal(dedented(text)), ".RE"]
        elif kind == "table":
            names, below = rows(text)
            for first_cell, *others in below:
                told = [f"{name}: {cell}" for name, cell in zip(names[1:], others, strict=True) if cell] if len(names) > 2 else others
                out += [".TP", prose(first_cell), *[part for cell in told for part in (prose(cell), ".br")][:-1]]
        elif kind == "item":
            out += [".IP \\(bu 3", prose("\n".join(text))]
        else:
            out += [".PP" if n else first, prose("\n".join(text))]
    return [line for line in out if line]


def dedented(lines: list[str]) -> list[str]:
    margin = min((len(line) - len(line.lstrip()) for line in lines if line), default=0)
    return [line[margin:] for line in lines]


def title(name: str, section: int, version: str, date: str) -> list[str]:
    return [
        '.\\" Made by tools/manual.py.',
        f'.TH {roff(name)} {section} "{date}" "usertcp {version}" "usertcp"',
        ".nh",
        ".SH NAME",
    ]


def members(code: list[str]) -> list[tuple[str, list[str]]]:
    """The members of a struct, with their comments."""
    found = []
    comment: list[str] = []
    at = 1
    while at < len(code) - 1:
        if code[at].lstrip().startswith("/**"):
            end = at
            while "*/" not in code[end]:
                end += 1
            comment = strip(bare(code[at : end + 1]))
            at = end + 1
        else:
            found.append((code[at].strip(), comment))
            at += 1
    return found


def man_chapter(chapter: Chapter, every: list[Chapter], version: str, date: str) -> str:
    out = title(chapter.page, 3, version, date)
    names = [name for name in chapter.names if name.startswith("usertcp_")]
    out += [", ".join(roff(name) for name in names) + " \\- " + roff(chapter.title[0].lower() + chapter.title[1:]).replace("\\-", "-")]
    out += [".SH LIBRARY", "TCP/IP in user space (\\fIlibusertcp\\fP, \\fI\\-lusertcp\\fP)", ".SH SYNOPSIS", ".EX", "#include <usertcp.h>"]
    for code in synopsis(chapter, "function"):
        out += [".sp", *("\\fB" + guard(roff(line)) + "\\fP" for line in code)]
    out += [".EE", ".SH DESCRIPTION"]
    out += man_blocks(chapter.intro) if chapter.intro else [prose(f"{chapter.title}, one function after the other.")]
    for item in chapter.items:
        if item.kind == "function":
            out += [f".SS {roff(item.name)}()", *man_blocks(item.comment)]
    types = [item for item in chapter.items if item.kind == "type" and item.comment]
    if types:
        out += [".SH TYPES"]
    for item in types:
        out += [f".SS {roff(item.name)}", *man_blocks(item.comment)]
        if "{" in item.code[0]:
            for member, comment in members(item.code):
                out += [".TP", f"\\fB{roff(member)}\\fP", *man_blocks(comment, "")]
        else:
            out += [".PP", *literal(item.code)]
    constants = [item for item in chapter.items if item.kind == "constant"]
    if constants:
        out += [".SH CONSTANTS"]
    for item in constants:
        out += [".TP", f"\\fB{roff(item.name)}\\fP", *man_blocks(item.comment, "")]
    out += [".SH RETURN VALUE"]
    out += [
        prose(
            "A function that returns int or ssize_t returns a negative number of `<errno.h>` when it fails, those named above and those that "
            "every function with a handle shares (`usertcp_strerror`(3)); where nothing else is said, 0 when it succeeds. `errno` is left alone."
        )
    ]
    out += [".SH ATTRIBUTES", prose("Every function may be called from any thread (MT-Safe); none from a signal handler (AS-Unsafe).")]
    others = [other.page for other in every if other is not chapter]
    out += [".SH SEE ALSO", ",\n".join(["\\fBusertcp\\fP(7)", *(f"\\fB{roff(name)}\\fP(3)" for name in others)])]
    return "\n".join(out) + "\n"


def written(path: Path) -> tuple[str, str, list[str]]:
    """Name, title and lines of a written page."""
    heading, *lines = path.read_text().rstrip("\n").split("\n")
    name, said = heading.removeprefix("# ").split(": ", 1)
    return name, said, strip(lines)


def man_written(path: Path, section: int, every: list[Chapter], version: str, date: str) -> str:
    name, said, lines = written(path)
    out = title(name, section, version, date)
    out += [f"{roff(name)} \\- {roff(said)}", ".SH DESCRIPTION", *man_blocks(lines, "")]
    pages = ["\\fBusertcp\\fP(1)"]
    pages += [f"\\fB{roff(written(ROOT / other)[0])}\\fP({number})" for other, number in WRITTEN if ROOT / other != path]
    pages += [f"\\fB{roff(chapter.page)}\\fP(3)" for chapter in every]
    return "\n".join([*out, ".SH SEE ALSO", ",\n".join(pages)]) + "\n"


def man_program(version: str, date: str) -> str:
    """What `usertcp --help` says, as a page."""
    source = (ROOT / "core/cli/src/command.rs").read_text()
    text = source.split('HELP: &str = "\\\n', 1)[1].split('\n";', 1)[0].split("\n")
    name, said = text[0].rstrip(".").split(": ", 1)
    out = title(name, 1, version, date)
    out += [f"{name} \\- {roff(said)}", ".SH SYNOPSIS", ".nf"]
    out += [f"\\fB{roff(part.strip())}\\fP" for line in text if line.startswith("  usertcp") for part in line.split(", ")]
    out += [".fi", ".SH DESCRIPTION"]
    for line in text[1:]:
        if option := re.match(r" {8}(\S.*?)  +(.*)", line):
            out += [".TP", f"\\fB{roff(option[1])}\\fP", prose(option[2])]
        elif line.startswith("  usertcp -"):
            continue
        elif line.startswith("  usertcp"):
            out += [f".SS {roff(line.strip())}"]
        elif line.strip():
            out += [prose(line.strip())]
    return "\n".join([*out, ".SH SEE ALSO", "\\fBusertcp\\fP(7), \\fBip\\fP(8), \\fBss\\fP(8)"]) + "\n"


def write_man(folder: Path, chapters: list[Chapter], version: str, date: str) -> None:
    for name in ("man1", "man3", "man7"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "man1/usertcp.1").write_text(man_program(version, date))
    for chapter in chapters:
        (folder / f"man3/{chapter.page}.3").write_text(man_chapter(chapter, chapters, version, date))
        for name in chapter.names:
            if name != chapter.page:
                (folder / f"man3/{name}.3").write_text(f".so man3/{chapter.page}.3\n")
    for path, section in WRITTEN:
        name = written(ROOT / path)[0]
        (folder / f"man{section}/{name}.{section}").write_text(man_written(ROOT / path, section, chapters, version, date))


# ---- HTML ----

STYLE = """body { max-width: 54em; margin: 2em auto; padding: 0 1em; font: 16px/1.5 sans-serif; color: #222; background: #fff }
pre, code { font: 14px/1.4 monospace } pre { background: #f4f4f0; padding: .7em 1em; overflow-x: auto }
a { color: #05a } td, th { text-align: left; vertical-align: top; padding: .1em .8em .1em 0 } dt { margin-top: .6em } nav { font-size: 14px } h3 { margin-top: 2em; border-top: 1px solid #ddd; padding-top: .6em }"""


def linked(text: str, where: dict[str, str]) -> str:
    """Text with links to what is named in it."""
    out = []
    last = 0
    for match in WORD.finditer(text):
        out.append(html.escape(text[last : match.start()]))
        code, strong, soft, shown, address, symbol, page, section = match.groups()
        name = (code or symbol or "").removesuffix("()")
        if page:
            out.append(f"<code>{page}({section})</code>" if page not in where else f'<a href="{where[page]}"><code>{page}({section})</code></a>')
        elif shown:
            out.append(f'<a href="{html.escape(address)}">{html.escape(shown)}</a>')
        elif strong or soft:
            out.append(f"<b>{html.escape(strong)}</b>" if strong else f"<i>{html.escape(soft)}</i>")
        elif name in where:
            out.append(f'<a href="{where[name]}"><code>{html.escape(code or symbol)}</code></a>')
        else:
            out.append(f"<code>{html.escape(code or symbol)}</code>")
        last = match.end()
    return "".join(out) + html.escape(text[last:])


def html_blocks(lines: list[str], where: dict[str, str]) -> list[str]:
    out: list[str] = []
    listed = False
    for kind, text in blocks(lines):
        if listed and kind != "item":
            out.append("</ul>")
        if kind == "item" and not listed:
            out.append("<ul>")
        listed = kind == "item"
        if kind == "code":
            out.append("<pre>" + html.escape("\n".join(dedented(text))) + "</pre>")
        elif kind == "table":
            names, below = rows(text)
            lines_of = [("th", names), *(("td", row) for row in below)]
            out += ["<table>", *("<tr>" + "".join(f"<{tag}>{linked(cell, where)}</{tag}>" for cell in row) + "</tr>" for tag, row in lines_of), "</table>"]
        else:
            tag = {"heading": "h2", "item": "li", "text": "p"}[kind]
            out.append(f"<{tag}>" + linked("\n".join(text), where) + f"</{tag}>")
    return [*out, "</ul>"] if listed else out


def html_chapter(chapter: Chapter, where: dict[str, str]) -> list[str]:
    out = html_blocks(chapter.intro, where)
    for item in chapter.items:
        shown = item.code if item.kind != "type" or "{" not in item.code[0] else [f"{item.code[0]} ... {item.code[-1]}"]
        out += [f'<h3 id="{item.name}"><code>{item.name}</code></h3>', "<pre>" + html.escape("\n".join(shown)) + "</pre>"]
        out += html_blocks(item.comment, where)
        if item.kind == "type" and "{" in item.code[0]:
            out.append("<dl>")
            for member, comment in members(item.code):
                out += [f"<dt><code>{html.escape(member)}</code></dt><dd>", *html_blocks(comment, where), "</dd>"]
            out.append("</dl>")
    return out


def write_html(folder: Path, chapters: list[Chapter], version: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    where = {item.name: f"{chapter.page}.html#{item.name}" for chapter in chapters for item in chapter.items}
    texts = [(ROOT / path, *written(ROOT / path)) for path, _ in WRITTEN]
    files = ["index.html", *(f"{name}.html" for _, name, _, _ in texts[1:])]
    menu = [(file, said) for file, (_, _, said, _) in zip(files, texts)] + [(f"{c.page}.html", c.title) for c in chapters]
    navigation = " | ".join(f'<a href="{file}">{html.escape(said)}</a>' for file, said in menu)

    def page(file: str, said: str, body: list[str]) -> None:
        head = f'<!DOCTYPE html>\n<html lang="en"><meta charset="utf-8"><title>{html.escape(said)} - usertcp</title><style>{STYLE}</style>'
        foot = f"<hr><p>usertcp {version}</p></html>"
        (folder / file).write_text("\n".join([head, f"<nav>{navigation}</nav>", f"<h1>{html.escape(said)}</h1>", *body, foot]) + "\n")

    for file, (_, _, said, lines) in zip(files, texts):
        page(file, said, html_blocks(lines, where))
    for chapter in chapters:
        page(f"{chapter.page}.html", chapter.title, html_chapter(chapter, where))


def main() -> None:
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    folder = Path(sys.argv[1])
    version = re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.M)
    assert version is not None
    # Of the header unless a packager says otherwise: a page made again is the same page.
    seconds = os.environ.get("SOURCE_DATE_EPOCH") or (ROOT / "include/usertcp.h").stat().st_mtime
    date = time.strftime("%Y-%m-%d", time.gmtime(float(seconds)))
    _, chapters = read_header(ROOT / "include/usertcp.h")
    write_man(folder / "man", chapters, version[1], date)
    write_html(folder / "html", chapters, version[1])


if __name__ == "__main__":
    main()
