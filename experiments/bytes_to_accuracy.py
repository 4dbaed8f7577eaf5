#!/usr/bin/env python3
"""What compression costs and saves: the quickstart's setting, codec by codec.

Runs deploy/quickstart.sh (real coordinator, clients and evaluator over mutual TLS) once for each
codec setting and seed, and prints bytes up and down and the final accuracy, beside raw_f32's.
A run whose result is in --dir already is not repeated, so that an interrupted experiment goes on.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

RAW = ('codec.up=raw_f32', 'codec.down=raw_f32')
DEFAULT = ()  # whatever a job without a [codec] table gets

# All 10,000 test images: the standard error of an accuracy of 80 % is 0.4 points.
EVALUATION = ('evaluation.max_examples=0',)

# name -> (clients, goal of a round, evaluation every so many rounds, evaluations to average).
# With another tenth of unlike clients in each round the accuracy jumps by points from one round to
# the next, whatever the codec: there it is the mean of the last five rounds' models.
FLEETS = {'full': (8, 8, 10, 1), 'tenth': (80, 8, 1, 5)}

# Up only: downloads are as by default, so that the rows differ in one thing.
TABLE = ('topk:fraction=0.01', 'topk:fraction=0.05', 'stc:fraction=0.01', 'qsgd', 'powersgd:rank=4',
         'f16', 'bf16', 'eden:bits=1', 'eden:bits=2', 'eden:bits=4', 'eden:bits=8',
         'eden:bits=1,mode=lloyd_max', 'eden:bits=2,mode=lloyd_max')


def experiments(parts):
    """(part, row's name, fleet, settings of the job)."""
    for fleet in ('full', 'tenth'):
        if fleet in parts:
            yield fleet, 'raw_f32', fleet, RAW
            yield fleet, 'default', fleet, DEFAULT
    if 'codecs' in parts:
        for codec in TABLE:
            yield 'codecs', codec, 'full', (f'codec.up={codec}',)


def result_path(args, fleet, settings, seed):
    name = '_'.join((fleet, f'r{args.rounds}', f's{seed}') + tuple(settings or ('default',)))
    return args.dir / (name.replace('/', '-') + '.json')


def run_once(args, fleet, settings, seed):
    path = result_path(args, fleet, settings, seed)
    if path.exists():
        return json.loads(path.read_text())
    clients, goal, every, last = FLEETS[fleet]
    command = [str(ROOT / 'deploy/quickstart.sh'), '--json', '--rounds', str(args.rounds),
               '--clients', str(clients), '--goal', str(goal), '--seed', str(seed),
               '--dir', str(args.dir / 'run')]
    for setting in EVALUATION + (f'evaluation.every={every}',) + tuple(settings):
        command += ['--set', setting]
    print(f'  {fleet}, seed {seed}: {" ".join(settings) or "default"} ...', file=sys.stderr,
          flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if done.returncode != 0:
        sys.exit(f'bytes_to_accuracy: `{" ".join(command)}` ended with {done.returncode}; '
                 'run it again to go on where it stopped')
    report = json.loads(done.stdout)
    evaluated = [r['evaluation']['accuracy'] for r in report['rounds'] if r.get('evaluation')]
    result = {'bytes_up': report['bytes_up'], 'bytes_down': report['bytes_down'],
              'accuracy': statistics.mean(evaluated[-last:]), 'evaluations': evaluated}
    path.write_text(json.dumps(result))
    return result


def mean(results, key):
    return statistics.mean(r[key] for r in results)


def print_part(args, part, rows, raw):
    fleet = 'tenth' if part == 'tenth' else 'full'
    clients, goal = FLEETS[fleet][:2]
    print(f'\n{part}: {args.rounds} rounds, {goal} of {clients} clients a round, '
          f'{len(args.seeds)} seed{"s" if len(args.seeds) > 1 else ""}')
    print(f'  {"codec.up":<28}{"MB up":>9}{"fewer":>8}{"MB down":>9}{"fewer":>8}'
          f'{"accuracy":>10}{"points":>8}')
    for name, results in rows:
        up, down, accuracy = (mean(results, k) for k in ('bytes_up', 'bytes_down', 'accuracy'))
        print(f'  {name:<28}{up / 1e6:>9.1f}{mean(raw, "bytes_up") / up:>7.1f}x'
              f'{down / 1e6:>9.1f}{mean(raw, "bytes_down") / down:>7.1f}x'
              f'{100 * accuracy:>9.1f}%{100 * (accuracy - mean(raw, "accuracy")):>+8.1f}')


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n', maxsplit=1)[0],
                                     epilog='Example: ./dev bench accuracy --parts full --seeds 1')
    parser.add_argument('--rounds', type=int, default=20)
    parser.add_argument('--seeds', default='1,2,3', help='comma-separated (default 1,2,3)')
    parser.add_argument('--parts', default='full,tenth,codecs',
                        help='full, tenth (10 %% of 80 clients a round), codecs (default all)')
    parser.add_argument('--only', default='', help='rows whose name contains this')
    parser.add_argument('--dir', type=pathlib.Path, default=ROOT / 'build/bytes_to_accuracy',
                        help='results so far; runs that are there are not repeated')
    parser.add_argument('--json', action='store_true', help='print the results as JSON')
    args = parser.parse_args()
    args.dir = args.dir.resolve()
    args.seeds = [int(seed) for seed in args.seeds.split(',')]
    parts = args.parts.split(',')
    for part in parts:
        if part not in ('full', 'tenth', 'codecs'):
            parser.error(f'--parts {part}: must be full, tenth or codecs')
    args.dir.mkdir(parents=True, exist_ok=True)

    rows = {}
    for part, name, fleet, settings in experiments(parts):
        if args.only not in name:
            continue
        results = [run_once(args, fleet, settings, seed) for seed in args.seeds]
        rows.setdefault(part, []).append((name, results))
    if args.json:
        print(json.dumps({part: dict(entries) for part, entries in rows.items()}, indent=2))
        return
    for part, entries in rows.items():
        fleet = 'tenth' if part == 'tenth' else 'full'
        raw = [run_once(args, fleet, RAW, seed) for seed in args.seeds]
        print_part(args, part, entries, raw)


if __name__ == '__main__':
    try:
        main()
    except KeyboardInterrupt:
        sys.exit('bytes_to_accuracy: interrupted; run it again to go on where it stopped')
