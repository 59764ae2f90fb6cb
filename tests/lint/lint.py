# SPDX-License-Identifier: Apache-2.0
"""What the lint checks share: which files there are, C++ without its comments, and how findings are reported.

A check is a script that takes --root (default: this repository), prints one line per finding as `path:line: message`
and exits 1 if there was any. A line may be excused with a reason: `// lint-allow(<check>): <reason>`.
"""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

CPP = (".h", ".cc")


class Checker:
    """One run of one check."""

    def __init__(self, name, description, flags=()):
        parser = argparse.ArgumentParser(prog=name, description=description)
        parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[2])
        for flag in flags:
            parser.add_argument(flag, action="store_true")
        self.name = name
        self.flags = parser.parse_args()
        self.root = self.flags.root.resolve()
        self.findings = 0

    def files(self, *suffixes, under=("",)):
        """Paths relative to the root with one of the suffixes (all if none), below one of the folders."""
        for path in project_files(self.root):
            name = path.as_posix()
            if (not suffixes or path.suffix in suffixes) and name.startswith(tuple(under)):
                yield path

    def text(self, path):
        return (self.root / path).read_text(encoding="utf-8", errors="replace")

    def report(self, path, line, message):
        self.findings += 1
        print(f"{path}:{line}: {message}")

    def forbid(self, path, patterns):
        """Reports each use in the code of `path` of a (regular expression, why not) pair."""
        raw = self.text(path).splitlines()
        for number, line in enumerate(without_comments(self.text(path)).splitlines(), 1):
            for pattern, why in patterns:
                found = re.search(pattern, line)
                if found and not self.allowed(raw[number - 1]):
                    self.report(path, number, f"'{found.group(0).strip()}': {why}")

    def allowed(self, line):
        return re.search(rf"// lint-allow\({re.escape(self.name)}\): \S", line) is not None

    def finish(self):
        sys.exit(1 if self.findings else 0)


def project_files(root):
    """Tracked and new files that are not ignored; everything but build/ where there is no git checkout."""
    if (root / ".git").exists():
        listing = subprocess.run(
            ["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            check=True, capture_output=True, text=True).stdout
        paths = [Path(name) for name in listing.split("\0") if name]
    else:
        paths = [Path(folder, name).relative_to(root)
                 for folder, _, names in os.walk(root) for name in names]
        paths = [path for path in paths if path.parts[0] != "build"]
    return sorted(path for path in paths if (root / path).is_file())


def without_comments(code):
    """C++ with comments and the inside of string literals blanked out; line numbers stay."""
    token = re.compile(
        r'//[^\n]*|/\*.*?\*/|R"(?P<mark>[^(\s]*)\(.*?\)(?P=mark)"|(?<!\w)\'(?:\\.|[^\'\\\n])*\'|"(?:\\.|[^"\\\n])*"', re.S)

    def blank(match):
        text = match.group(0)
        if text.startswith('"'):
            return text if _is_include(code, match.start()) else '""'
        return "\n" * text.count("\n") or " "

    return token.sub(blank, code)


def _is_include(code, position):
    line_start = code.rfind("\n", 0, position) + 1
    return re.match(r"\s*#\s*include", code[line_start:position]) is not None


def includes(code):
    """(line number, target) of each include of a file of the project."""
    for number, line in enumerate(without_comments(code).splitlines(), 1):
        found = re.match(r'\s*#\s*include\s*"([^"]+)"', line)
        if found:
            yield number, found.group(1)
