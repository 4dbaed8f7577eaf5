#!/usr/bin/python3
"""Checks one rule of rules.py over the repository, or that the rule can fire.

usage: tidy.py RULE               exit code 1 and a line per finding
       tidy.py --self-test RULE   runs the rule's own examples
       tidy.py --list
"""

import os
import subprocess
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

import rules  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]


def repository_paths():
    """Tracked and new files; in an exported tree without git, all but the build folder."""
    listing = subprocess.run(
        ['git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard'],
        cwd=ROOT, capture_output=True, check=False)
    if listing.returncode == 0:
        return [path for path in listing.stdout.decode().split('\0') if path]
    paths = []
    for folder, names, files in os.walk(ROOT):
        names[:] = [name for name in names if name not in ('.git', 'build')]
        paths += [os.path.relpath(os.path.join(folder, name), ROOT) for name in files]
    return paths


def repository_files():
    files = {}
    for path in repository_paths():
        try:
            files[path] = (ROOT / path).read_text(encoding='utf-8')
        except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
            continue  # binary, or deleted but not yet committed
    return files


def self_test(rule):
    failures = [f'did not fire on {example}' for example in rule.bad if not list(rule(example))]
    failures += [f'fired on {example}: {found}' for example in rule.good
                 if (found := list(rule(example)))]
    if not rule.bad or not rule.good:
        failures.append('has no examples')
    return failures


def main(arguments):
    by_name = {rule.__name__: rule for rule in rules.ALL}
    if arguments == ['--list']:
        print('\n'.join(by_name))
        return 0
    testing = arguments[:1] == ['--self-test']
    names = arguments[1:] if testing else arguments
    if len(names) != 1 or names[0] not in by_name:
        print(__doc__, file=sys.stderr)
        return 2
    rule = by_name[names[0]]
    if testing:
        findings = self_test(rule)
    else:
        files = repository_files()
        if not any(map(rules.is_cpp, files)):
            print(f'no source files found under {ROOT}', file=sys.stderr)
            return 2
        findings = list(rule(files))
    for finding in findings:
        print(finding)
    if findings:
        print(f'{len(findings)} finding(s): {rule.__doc__.strip()}')
    return 1 if findings else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
