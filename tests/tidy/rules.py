"""The rules of this repository that a machine can check.

A rule takes the files as {path: text} and yields findings "path:line: what is wrong". Each has
examples: `bad` ones must give a finding, `good` ones none; the self-test runs them.
"""

import re
import subprocess
import tempfile
from pathlib import Path

from source_text import code_only, functions

MAX_FUNCTION_LINES = 70
MAX_FILE_LINES = 600

CPP = ('.h', '.cc', '.c')


def is_cpp(path):
    return path.endswith(CPP)


def _matches(files, pattern, applies, message):
    """Findings for every line of code (comments and literals blanked) that `pattern` matches."""
    regex = re.compile(pattern)
    for path, text in files.items():
        if not (is_cpp(path) and applies(path)):
            continue
        for number, line in enumerate(code_only(text).split('\n'), 1):
            if found := regex.search(line):
                yield f'{path}:{number}: {found.group().strip()}: {message}'


def _includes(text):
    for number, line in enumerate(text.split('\n'), 1):
        if found := re.match(r'\s*#\s*include\s*[<"]([^>"]+)[>"]', line):
            yield number, found.group(1)


# Layers, lowest first; a module may include itself, its layer and those below, and the modules of
# one layer must not include each other in a circle. The longest prefix names the module.
LAYERS = {
    'common/base': 0,
    'common': 1,
    'server/selectors': 2, 'server/strategies': 2, 'server/aggregators': 2, 'server/ledger': 2,
    'server/carbon': 2, 'server/prediction': 2,
    'server/round': 3, 'server/store': 3,
    'server/driver': 4,
    'server': 5,
    'client/datasets': 2,
    'client/sdk': 3,
    'client/trainers': 4,
    'client': 5,
    'simulation': 6, 'tools': 6, 'examples': 6, 'bench': 7, 'tests': 8,
}


def _layer(path):
    parts = path.split('/')
    for count in (2, 1):
        if '/'.join(parts[:count]) in LAYERS:
            return LAYERS['/'.join(parts[:count])]
    return None


def _module(path):
    return '/'.join(path.split('/')[:2])


def layering(files):
    """Includes point downward: see the module map in ARCHITECTURE.md."""
    graph = {}
    for path, text in files.items():
        if not is_cpp(path) or _layer(path) is None:
            continue
        for number, target in _includes(text):
            layer = _layer(target)
            if layer is None:
                continue
            sides = {path.split('/')[0], target.split('/')[0]}
            if layer > _layer(path) or (sides == {'client', 'server'}):
                yield f'{path}:{number}: {_module(path)} must not include {target}'
            elif _module(target) != _module(path):
                graph.setdefault(_module(path), {}).setdefault(_module(target), f'{path}:{number}')
    yield from _cycles(graph)


def _cycles(graph):
    done = set()

    def visit(module, trail):
        if module in trail:
            circle = trail[trail.index(module):] + [module]
            yield f'{graph[circle[-2]][module]}: modules include each other: {" -> ".join(circle)}'
        elif module not in done:
            for target in sorted(graph.get(module, {})):
                yield from visit(target, trail + [module])
            done.add(module)

    for module in sorted(graph):
        yield from visit(module, [])


layering.bad = [
    {'common/base/a.h': '#include "common/crypto/b.h"'},
    {'common/tensor/a.h': '#include "server/round/b.h"'},
    {'server/selectors/a.cc': '#include "server/round/b.h"'},
    {'client/sdk/a.cc': '#include "server/driver/b.h"'},
    {'server/app/a.cc': '#include "client/sdk/b.h"'},
    {'client/sdk/a.cc': '#include "tests/x.h"'},
    {'common/codec/a.h': '#include "common/tensor/b.h"',
     'common/tensor/b.h': '#include "common/codec/a.h"'},
]
layering.good = [
    {'server/driver/a.cc': '#include "server/round/b.h"\n#include "common/base/c.h"'},
    {'simulation/a.cc': '#include "server/driver/b.h"\n#include "client/sdk/b.h"'},
    {'common/codec/a.h': '#include "common/tensor/b.h"'},
    {'tests/server/a.cc': '#include "client/sdk/b.h"'},
]

_PROTO_PLACES = re.compile(
    r'common/wire/|server/driver/grpc_|client/sdk/grpc_|client/trainers/worker/worker_protocol'
    r'|server/store/|server/app/|server/cli/|simulation/cli/|client/app/|tools/|tests/|bench/|examples/')


def protobuf_only_at_the_edges(files):
    """*.pb.h is for common/wire, the process and gRPC adapters, the store, the mains and tests."""
    for path, text in files.items():
        if not is_cpp(path) or _PROTO_PLACES.match(path):
            continue
        for number, target in _includes(text):
            if target.endswith('.pb.h'):
                yield f'{path}:{number}: {target}: use the types of common/model and common/wire'


protobuf_only_at_the_edges.bad = [
    {'server/round/round.cc': '#include "fedwatt/v1/job.pb.h"'},
    {'client/sdk/session.h': '#include "fedwatt/v1/job.pb.h"'},
]
protobuf_only_at_the_edges.good = [
    {'common/wire/job_wire.h': '#include "fedwatt/v1/job.pb.h"'},
    {'client/sdk/grpc_transport.cc': '#include "fedwatt/v1/client_service.grpc.pb.h"'},
]

_TORCH_PLACES = re.compile(r'(tests/)?client/trainers/torch/|.*fedwatt_torch|bench/.*torch')


def torch_behind_one_door(files):
    """LibTorch headers only in client/trainers/torch and the fedwatt-torch tool."""
    for path, text in files.items():
        if not is_cpp(path) or _TORCH_PLACES.match(path):
            continue
        for number, target in _includes(text):
            if re.match(r'(torch|ATen|c10|caffe2)/', target):
                yield f'{path}:{number}: {target}: LibTorch stays in client/trainers/torch'


torch_behind_one_door.bad = [
    {'client/sdk/session.cc': '#include <torch/script.h>'},
    {'server/app/main.cc': '#include <ATen/ATen.h>'},
]
torch_behind_one_door.good = [{'client/trainers/torch/train.cc': '#include <torch/script.h>'}]

_IMPURE = re.compile(
    r'common/base/(clock|fake_clock|executor|thread_pool|\w+_executor|mutex|file|log|signals'
    r'|subprocess)\.h$|(mutex|thread|fstream|condition_variable|chrono|atomic)$')


def round_is_pure(files):
    """server/round has no clock, no I/O, no lock and no thread: events carry the time."""
    for path, text in files.items():
        if not path.startswith('server/round/') or not is_cpp(path):
            continue
        for number, target in _includes(text):
            if _IMPURE.match(target):
                yield f'{path}:{number}: {target}: the round state machine is pure'


round_is_pure.bad = [{'server/round/round.cc': '#include "common/base/clock.h"'},
                     {'server/round/round.h': '#include <mutex>'}]
round_is_pure.good = [{'server/round/round.cc': '#include "common/base/hex.h"\n#include <map>'},
                      {'server/driver/driver.cc': '#include "common/base/clock.h"'}]


def function_length(files):
    """A function fits a screen."""
    for path, text in files.items():
        if not is_cpp(path):
            continue
        for line, length, signature in functions(text):
            if length > MAX_FUNCTION_LINES:
                yield (f'{path}:{line}: {length} lines, at most {MAX_FUNCTION_LINES}: '
                       f'{signature[-60:]}')


def _long(opening, lines=MAX_FUNCTION_LINES - 1, closing='}'):
    return opening + '\n' + '  x();\n' * lines + closing + '\n'


function_length.bad = [
    {'a.cc': _long('int f() {')},
    {'a.cc': 'namespace a {\n' + _long('A::A(int x) noexcept : a_{x}, b_(1) {') + '}'},
    {'a.cc': 'class A : public B {\n' + _long('void f(B b = {}) const override {') + '};'},
    {'a.cc': 'extern "C" {\n' + _long('int f(const char* s) {') + '}'},
    {'a.cc': 'const char* k = R"x({{{)x";\n' + _long('auto f() -> std::vector<int> {')},
    {'a.cc': _long('void f() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {')},
    {'a.cc': "char c = '{'; int n = 1'000;\n" + _long('TEST(Suite, Name) {')},
    {'a.cc': 'void g() {}\n' + _long('void f() {\n  auto l = [] {', closing='  };\n}')},
]
function_length.good = [
    {'a.cc': _long('int f() {', MAX_FUNCTION_LINES - 2)},
    {'a.cc': _long('const int kTable[] = {', 200, '};')},
    {'a.cc': _long('namespace a {', 200)},
    {'a.cc': 'struct A {\n' + '  int f() { return 1; }\n' * 200 + '};\n'},
    {'a.cc': '#define X(y) \\\n  if (y) { \\\n  }\n' + 'int f();\n' * 100},
]


def file_length(files):
    """A file holds one thing."""
    for path, text in files.items():
        if not (is_cpp(path) or path.endswith(('.py', '.sh', '.proto', '.cmake'))):
            continue
        lines = text.count('\n')
        if lines >= MAX_FILE_LINES:
            yield f'{path}:{lines}: {lines} lines, fewer than {MAX_FILE_LINES} are allowed'


file_length.bad = [{'a.cc': '\n' * MAX_FILE_LINES}]
file_length.good = [{'a.cc': '\n' * (MAX_FILE_LINES - 1), 'data.txt': '\n' * 10_000}]


def no_system_time(files):
    """Only common/base asks the system for the time; everybody else is handed a Clock."""
    return _matches(
        files,
        r'\b(system_clock|steady_clock|high_resolution_clock)\b|\babsl::(Now|GetCurrentTime\w*)\b'
        r'|\b(gettimeofday|clock_gettime|timespec_get)\s*\(|\bstd::time\s*\('
        r'|(?<![\w.:>])time\s*\(\s*(nullptr|NULL|0|&)',
        lambda path: not path.startswith('common/base/'), 'take a Clock (common/base/clock.h)')


no_system_time.bad = [
    {'a.cc': 'auto t = std::chrono::steady_clock::now();'}, {'a.cc': 'auto t = absl::Now();'},
    {'a.cc': 'int t = time(nullptr);'}, {'tests/a.cc': 'gettimeofday(&t, nullptr);'},
]
no_system_time.good = [
    {'common/base/clock.cc': 'std::chrono::system_clock::now();'},
    {'a.cc': '// steady_clock::now()\nint64_t t = clock.NowMs(); round.time(0); wall_time(0);'},
]


def no_std_random(files):
    """Random numbers come from common/base/rng.h, or two runs differ."""
    return _matches(
        files,
        r'\bstd::(s?rand|random_device|mt19937\w*|minstd_rand0?|ranlux\w+|knuth_b|shuffle|sample'
        r'|default_random_engine|\w+_distribution)\b|(?<![\w:.>])s?rand(om)?\s*\(',
        lambda path: True, 'use common/base/rng.h')


no_std_random.bad = [{'a.cc': 'std::mt19937 g(1);'}, {'a.cc': 'int x = rand();'},
                     {'a.cc': 'std::normal_distribution<double> d;'}]
no_std_random.good = [{'a.cc': 'Rng rng(key); rng.Shuffle(v); // std::rand'},
                      {'a.cc': 'auto x = torch::rand({2}); g.rand();'}]


def no_sleep_in_tests(files):
    """A test waits for what it needs, or moves a FakeClock."""
    yield from _matches(
        files, r'\b(sleep_for|sleep_until|SleepFor)\b|(?<![\w.>])u?(nano)?sleep\s*\(',
        lambda path: path.startswith('tests/'), 'wait for the event or use a FakeClock')
    for path, text in files.items():
        if not (path.startswith('tests/') and path.endswith(('.py', '.sh'))):
            continue
        if path.startswith('tests/tidy/'):
            continue  # the examples of this rule
        for number, line in enumerate(text.split('\n'), 1):
            if re.search(r'^[^#]*(\btime\.sleep\(|(^|[;&|]|\bdo\b|\bthen\b)\s*sleep\s)', line):
                yield f'{path}:{number}: wait for the event'


no_sleep_in_tests.bad = [
    {'tests/a.cc': 'std::this_thread::sleep_for(x);'}, {'tests/a.cc': 'usleep(5);'},
    {'tests/a.sh': 'until ready; do sleep 1; done'}, {'tests/a.py': 'time.sleep(1)'},
]
no_sleep_in_tests.good = [{'tests/a.cc': '// sleep(1)\nlog("sleep(1)");'},
                          {'client/a.cc': 'sleep(1);'}]


def one_mutex(files):
    """common/base/mutex.h carries the annotations that clang checks."""
    return _matches(
        files,
        r'\bstd::(\w*mutex|condition_variable\w*|lock_guard|unique_lock|scoped_lock|shared_lock)\b'
        r'|\babsl::(Mutex|CondVar)\w*\b',
        lambda path: not path.startswith('common/base/'), 'use common/base/mutex.h')


one_mutex.bad = [{'server/a.h': 'std::mutex m_;'}, {'a.cc': 'absl::MutexLock l(&m);'}]
one_mutex.good = [{'server/a.h': 'Mutex mutex_;'}, {'common/base/mutex.h': 'std::mutex m_;'}]


def headers(files):
    """Every header starts once, and no source file is included."""
    for path, text in files.items():
        if path.endswith('.h') and not re.search(r'^#pragma once$|^#ifndef \w+_H_?$', text, re.M):
            yield f'{path}:1: no #pragma once'
        for number, target in _includes(text) if is_cpp(path) else ():
            if target.endswith('.cc'):
                yield f'{path}:{number}: {target}: link it, do not include it'


headers.bad = [{'a.h': 'int x;'}, {'a.cc': '#include "b.cc"'}]
headers.good = [{'a.h': '#pragma once\nint x;', 'a.cc': '#include "a.h"'}]

_OPEN_END = re.compile(r'\b(TO' r'DO|FIX' r'ME)\b')


def no_open_ends(files):
    """What is left to do is an issue, not a comment."""
    for path, text in files.items():
        for number, line in enumerate(text.split('\n'), 1):
            if found := _OPEN_END.search(line):
                yield f'{path}:{number}: {found.group()}: finish it or open an issue'


no_open_ends.bad = [{'a.cc': '// TO' 'DO: later'}, {'README.md': 'FIX' 'ME'}]
no_open_ends.good = [{'a.cc': '// todos of the user'}]


def plugins_are_tested(files):
    """Every entry of a builtin.def has its own test file beside the folder's tests."""
    for path, text in files.items():
        if not path.endswith('/builtin.def'):
            continue
        for number, line in enumerate(text.split('\n'), 1):
            if found := re.match(r'FEDWATT_\w+\(\s*(\w+)', line):
                test = f'tests/{path.rsplit("/", 1)[0]}/{found.group(1)}_test.cc'
                if test not in files:
                    yield f'{path}:{number}: {found.group(1)} has no {test}'


plugins_are_tested.bad = [{'server/selectors/builtin.def': 'FEDWATT_SELECTOR(uniform, Make)'}]
plugins_are_tested.good = [{'server/selectors/builtin.def': 'FEDWATT_SELECTOR(uniform, Make)',
                            'tests/server/selectors/uniform_test.cc': ''}]


def format_is_clean(files):
    """./dev format repairs it."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.joinpath('.clang-format').write_text(files.get('.clang-format', 'BasedOnStyle: Google'))
        paths = sorted(path for path in files if is_cpp(path))
        for path in paths:
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(files[path])
        for first in range(0, len(paths), 50):
            run = subprocess.run(
                ['clang-format', '--dry-run', '--ferror-limit=1', *paths[first:first + 50]],
                cwd=root, capture_output=True, text=True, check=False)
            for line in run.stderr.split('\n'):
                if 'code should be clang-formatted' in line:
                    yield line.split(' warning:')[0] + ' run ./dev format'


format_is_clean.bad = [{'a.cc': 'int  x ;\n'}]
format_is_clean.good = [{'a.cc': 'int x;\n'}]

ALL = [layering, protobuf_only_at_the_edges, torch_behind_one_door, round_is_pure, function_length,
       file_length, no_system_time, no_std_random, no_sleep_in_tests, one_mutex, headers,
       no_open_ends, plugins_are_tested, format_is_clean]
