"""Checks the project's pages: every relative link, and every file of ours that a page names in
backticks, must exist. Prints where to begin.

usage: docs.py
"""
import os
import re
import subprocess
import sys

BEGIN = ("README.md", "docs/architecture.md", "docs/cli.md", "CONTRIBUTING.md")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_NAMED = re.compile(r"`([\w.-]+(?:/[\w.-]+)+/?)`")
_MADE = ("build/",)  # by a build, so not in a fresh checkout
_STORED = "tests/data/"  # pages beside stored data name files of other people's trees


def pages():
    listed = subprocess.run(["git", "-c", "safe.directory=*", "ls-files", "--cached", "--others",
                             "--exclude-standard", "*.md"],
                            check=False, capture_output=True, text=True)
    if listed.returncode != 0:
        sys.exit("error: the pages are those that git knows, and this is no git checkout")
    return [p for p in listed.stdout.splitlines() if os.path.exists(p)]


def title(page):
    with open(page, encoding="utf-8") as file:
        for line in file:
            if line.startswith("# "):
                return line[2:].strip()
    return page


def slug(heading):
    """The anchor that a Markdown viewer gives a heading."""
    kept = re.sub(r"[^\w\- ]", "", heading.strip().lower().replace("`", ""))
    return kept.replace(" ", "-")


def without_code(text):
    return re.sub(r"^```.*?^```", lambda m: "\n" * m.group(0).count("\n"), text,
                  flags=re.MULTILINE | re.DOTALL)


def broken(page):
    """(line, message) of each link or name that leads nowhere."""
    with open(page, encoding="utf-8") as file:
        text = without_code(file.read())
    for number, line in enumerate(text.split("\n"), 1):
        for target in _LINK.findall(line):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            full = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
            if not os.path.exists(full):
                yield number, f"the link to {target} leads nowhere"
            elif anchor and full.endswith(".md"):
                with open(full, encoding="utf-8") as file:
                    slugs = [slug(h) for h in re.findall(r"^#+ (.*)$", file.read(), re.MULTILINE)]
                if anchor not in slugs:
                    yield number, f"{full} has no heading for #{anchor}"
        for name in [] if page.startswith(_STORED) else _NAMED.findall(line):
            top = name.split("/")[0]
            if os.path.isdir(top) and not name.startswith(_MADE) and not os.path.exists(name):
                yield number, f"`{name}` does not exist"


def main():
    found = pages()
    count = 0
    for page in found:
        for line, message in broken(page):
            count += 1
            print(f"{page}:{line}: {message}")
    print("begin with:")
    for page in BEGIN:
        if page in found:
            print(f"  {page:24} {title(page)}")
    print("all pages:")
    for page in sorted(set(found) - set(BEGIN)):
        print(f"  {page:24} {title(page)}")
    print(f"{len(found)} pages, {count} broken links or names")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
