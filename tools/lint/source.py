"""C++ text as the checks see it: comments and literals blanked out, lines kept."""
import re

# Comments, raw strings, strings and characters; a digit separator (1'000) is none of them.
_TOKEN = re.compile(
    r'''//[^\n]*|/\*.*?\*/|R"(?P<tag>[^(\s]*)\(.*?\)(?P=tag)"|"(?:\\.|[^"\\\n])*"'''
    r'''|(?<![0-9A-Fa-f])'(?:\\.|[^'\\\n])*\'''', re.DOTALL)

# The end of `A(int n) : n_` in `A(int n) : n_{n} {}`.
_INITIALIZER = re.compile(r"\)\s*(?:noexcept\s*)?:(?!:).*[\w>]$", re.DOTALL)


def _blank(match):
    text = match.group(0)
    # An include's path is the subject of checks, and no text of ours.
    return "".join(c if c == "\n" else " " for c in text)


def code_only(text):
    """The text with every comment and literal as blanks, but include lines as they are."""
    blanked = _TOKEN.sub(_blank, text).split("\n")
    original = text.split("\n")
    for i, line in enumerate(original):
        if re.match(r"\s*#\s*include\b", line) and blanked[i].strip():
            blanked[i] = line
    return "\n".join(blanked)


def functions(code):
    """Yields (first line, last line) of each function body outside any other, 1-based.

    A `{` opens a function when what stands before it, back to the last `;`, `{` or `}`, holds a
    parameter list and begins no namespace, class or enumeration.
    """
    stack = []  # of (is function, is within an expression, line)
    start = 0   # of the text before the next brace
    line = 1
    depth_parentheses = 0
    code = re.sub(r"^[ \t]*#(?:[^\n\\]|\\\n|\\.)*", lambda m: re.sub(r"[^\n]", " ", m.group(0)),
                  code, flags=re.MULTILINE)
    for i, c in enumerate(code):
        if c == "\n":
            line += 1
        elif c in "()":
            depth_parentheses += 1 if c == "(" else -1
        elif c == "{":
            header = code[start:i].strip()
            inside = any(is_function for is_function, _, _ in stack)
            # A lambda among arguments, or `member_{x}` before a constructor's body, ends nothing.
            within = depth_parentheses > 0 or bool(_INITIALIZER.search(header))
            stack.append((not inside and not within and _opens_function(header), within, line))
            start = start if within else i + 1
        elif c == "}" and stack:
            is_function, within, first = stack.pop()
            if is_function:
                yield first, line
            start = start if within else i + 1
        elif c == ";" and depth_parentheses == 0:
            start = i + 1


def _opens_function(header):
    header = re.sub(r"^(?:(?:public|private|protected)\s*:|template\s*<[^{}]*>\s*(?=\w))\s*", "",
                    header)
    if re.match(r"(?:inline\s+)?(?:namespace|class|struct|union|enum|extern)\b", header):
        # A function may return `struct X`; then a parameter list follows.
        return bool(re.search(r"\)\s*(?:const|noexcept|override|final)?\s*$", header)) and \
            not re.match(r"(?:inline\s+)?(?:namespace|enum)\b", header)
    return "(" in header and not re.search(r"=\s*$", header)
