"""Reads C++ well enough for the rules: blanks comments and literals, finds function bodies.

Both keep every line where it is, so that a rule can report line numbers.
"""

import re

_TOKEN = re.compile(
    r'(?P<raw>\bu?8?[LuU]?R"(?P<delim>[^()\\\s]{0,16})\()'
    r'|(?P<line>//(?:[^\n\\]|\\.|\\\n)*)'
    r'|(?P<block>/\*.*?\*/)'
    r'|(?P<string>"(?:[^"\\\n]|\\.)*")'
    r"|(?P<number>\b\d(?:[\w.]|'\w)*)"
    r"|(?P<char>'(?:[^'\\\n]|\\.)+')",
    re.DOTALL)


def _blank(text):
    return re.sub(r'[^\n]', ' ', text)


def code_only(text):
    """The text with comments and the insides of literals replaced by spaces."""
    out = []
    position = 0
    while match := _TOKEN.search(text, position):
        out.append(text[position:match.start()])
        end = match.end()
        if match.group('raw'):
            close = text.find(')' + match.group('delim') + '"', end)
            end = len(text) if close < 0 else close + len(match.group('delim')) + 2
            out.append('"' + _blank(text[match.start() + 1:end - 1]) + '"')
        elif match.group('string'):
            out.append('"' + ' ' * (end - match.start() - 2) + '"')
        elif match.group('char'):
            out.append("'" + ' ' * (end - match.start() - 2) + "'")
        elif match.group('number'):
            out.append(match.group().replace("'", '_'))
        else:
            out.append(_blank(match.group()))
        position = end
    out.append(text[position:])
    return ''.join(out)


def without_preprocessor(code):
    """Blanks directives, with their continuation lines."""
    out = []
    continued = False
    for line in code.split('\n'):
        directive = continued or line.lstrip().startswith('#')
        continued = directive and line.rstrip().endswith('\\')
        out.append('' if directive else line)
    return '\n'.join(out)


_SIGNATURE_END = re.compile(
    r'\)\s*(?:\b(?:const|noexcept|override|final|mutable|volatile|try)\b\s*|&&?\s*'
    r'|->[\w:<>,\s*&]+'
    r'|\bABSL_\w+\s*(?:\([^()]*\))?\s*)*$')
_INIT_LIST = re.compile(r'\)\s*(?:noexcept\s*)?:[^:].*[\w>]\s*$', re.DOTALL)


def functions(text):
    """Yields (first line, number of lines, signature) of every function body, braces included.

    A lambda, local class or block belongs to the function around it.
    """
    code = without_preprocessor(code_only(text))
    scopes = []  # 'scope' (namespace or type), 'value' (braced initialiser)
    head = ''
    parens = 0
    line = 1
    depth = 0  # braces inside the current function
    start = (0, '')
    for c in code:
        if c == '\n':
            line += 1
        if depth:
            depth += {'{': 1, '}': -1}.get(c, 0)
            if depth == 0:
                yield start[0], line - start[0] + 1, start[1]
            continue
        if c == '{':
            value = parens > 0 or (scopes and scopes[-1] == 'value')
            if not value and _SIGNATURE_END.search(head):
                depth, start, head = 1, (line, ' '.join(head.split())), ''
            elif value or '=' in head or _INIT_LIST.search(head):
                scopes.append('value')
            else:
                scopes.append('scope')
                head = ''
        elif c == '}':
            if scopes and scopes.pop() == 'value':
                head += '()' if _INIT_LIST.search(head) else ''
            else:
                head = ''
        elif c == ';' and parens == 0:
            head = ''
        elif not (scopes and scopes[-1] == 'value'):
            parens += {'(': 1, ')': -1}.get(c, 0)
            head += c
