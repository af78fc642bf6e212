"""Which source files clang-tidy may read as one, so that it walks their headers once.

Most of what clang-tidy costs is the headers of the standard library and Abseil, again for each
file. Files of the same compile command can be included by one, as long as no two of them give
the same name to something of their own.
"""
import re

import source

FILES_MAX = 8  # of a group: enough that headers hardly count, few enough that all cores have work

_OWN = re.compile(r"^namespace \{$(.*?)^\}  // namespace$", re.MULTILINE | re.DOTALL)
# The name that a line at the margin declares: `int F(`, `constexpr int kN =`, `struct S {`.
_NAME = re.compile(r"^(?![}#\s])[^(={;\[\n]*?(\w+)\s*(?:final\s*)?(?::[^:{]*)?[(={;\[]",
                   re.MULTILINE)
_STATIC = re.compile(r"^static\b[^(={;\[\n]*?(\w+)\s*[(={;\[]", re.MULTILINE)


def own_names(text):
    """Names that a file gives to what nobody else sees: in unnamed namespaces, or static."""
    code = source.code_only(text)
    names = set(_STATIC.findall(code))
    for part in _OWN.finditer(text):  # by its closing comment, which is no code
        names.update(_NAME.findall(code[part.start(1):part.end(1)]))
    return names


def groups(files):
    """Lists of paths that can be read together. `files`: (path, compile flags, text) of each.

    Greedy: each file joins the first group of its flags that has room and shares no own name.
    """
    made = []  # of (flags, names, paths)
    for path, flags, text in files:
        names = own_names(text)
        for group_flags, group_names, paths in made:
            if group_flags == flags and len(paths) < FILES_MAX and not names & group_names:
                group_names |= names
                paths.append(path)
                break
        else:
            made.append((flags, set(names), [path]))
    return [paths for _, _, paths in made]
