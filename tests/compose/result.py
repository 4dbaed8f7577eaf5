"""What the coordinator's database and the report must say after the run of ./dev compose-test.

    python3 tests/compose/result.py DATABASE REPORT.json MODEL.pt --rounds 3 --goal 8

Each check gives a line; a wrong one says what was found and what is right.
"""

import argparse
import json
import pathlib
import sqlite3
import sys
import zipfile

# The numbers of server/store/store.h, server/store/tables.h and common/energy/energy_sample.h.
COMMITTED = 3
COORDINATOR_INDEX = 2**32 - 1  # the row of the coordinator's own joules
UNAVAILABLE = 5
TRAIN = 2
PENDING, USEFUL, WASTED = 1, 2, 3


def check_rounds(report, rounds, goal):
    """The job is complete, and no round lost a report or had to be begun anew."""
    assert report['state'] == 'completed', f"the job is {report['state']}: {report['reason']}"
    committed = [r['key']['round'] for r in report['rounds'] if r['phase'] == 'committed']
    assert committed == list(range(1, rounds + 1)), f'rounds {committed} are committed'
    for r in report['rounds']:
        number = r['key']['round']
        assert r['reported'] == goal, f"round {number} has {r['reported']} of {goal} reports"
        assert r['key']['attempt'] == 1, f"round {number} took {r['key']['attempt']} attempts"
        assert r['failed'] == r['late'] == 0, \
            f"round {number} has {r['failed']} failed and {r['late']} late reports"


def check_assignments(database, rounds, goal):
    """Each assignment is counted once: as many as the goal in each round, by as many clients."""
    rows = database.execute(
        'SELECT round, COUNT(*), COUNT(DISTINCT client), TOTAL(state = ?) FROM assignments '
        'WHERE evaluation = 0 GROUP BY round ORDER BY round', (COMMITTED,)).fetchall()
    expected = [(n, goal, goal, goal) for n in range(1, rounds + 1)]
    assert rows == expected, \
        f'(round, assignments, clients, committed) are {rows}, not {expected}'


def check_energy(database, report, rounds, goal):
    """Every counted assignment has its joules of training, and the report is the ledger's sum."""
    trained = database.execute(
        "SELECT COUNT(DISTINCT a.round || '/' || a.idx) FROM assignments a JOIN energy e "
        'ON (e.job, e.evaluation, e.round, e.attempt, e.idx) = '
        '(a.job, a.evaluation, a.round, a.attempt, a.idx) '
        'WHERE a.evaluation = 0 AND a.state = ? AND e.phase = ? AND e.energy_uj > 0',
        (COMMITTED, TRAIN)).fetchone()[0]
    assert trained == rounds * goal, \
        f'{trained} of {rounds * goal} counted assignments have joules of training'
    pending = database.execute('SELECT COUNT(*) FROM energy WHERE "use" = ?',
                               (PENDING,)).fetchone()[0]
    assert pending == 0, f'{pending} samples are neither useful nor wasted after the end'
    gone = database.execute('SELECT COUNT(*) FROM energy WHERE quality = ? AND energy_uj IS NOT NULL',
                            (UNAVAILABLE,)).fetchone()[0]
    assert gone == 0, f'{gone} unavailable samples have joules'
    sums = dict(((source, use), uj) for source, use, uj in database.execute(
        'SELECT source, "use", CAST(TOTAL(energy_uj) AS INTEGER) FROM energy '
        'WHERE idx != ? GROUP BY 1, 2', (COORDINATOR_INDEX,)))
    for total in report['energy']:
        for use, key in ((USEFUL, 'useful_uj'), (WASTED, 'wasted_uj')):
            of_samples = sums.get((total['source'], use), 0)
            assert of_samples == total[key], \
                f"{total['source']}: samples sum to {of_samples} uJ, the report says {total[key]}"


def check_learning(report):
    """The model became better than guessing among ten classes."""
    accuracy = report['best_metric']
    assert accuracy > 0.2, f'the best accuracy is {accuracy:.1%}; guessing gives 10 %'


def check_model(path):
    """A TorchScript archive, whole."""
    with zipfile.ZipFile(path) as archive:
        bad = archive.testzip()
        assert bad is None, f'{path}: {bad} is damaged'
        names = archive.namelist()
    assert any(name.endswith('/data.pkl') for name in names), f'{path} holds only {names[:5]}'


def checks(database, report, model, rounds, goal):
    """(what, function that asserts it)."""
    return [
        (f'{rounds} rounds committed with {goal} reports each, at the first attempt',
         lambda: check_rounds(report, rounds, goal)),
        ('each assignment counted once', lambda: check_assignments(database, rounds, goal)),
        ('joules booked: each once, none pending, the report is their sum',
         lambda: check_energy(database, report, rounds, goal)),
        ('the model learnt', lambda: check_learning(report)),
        ('the model is exported', lambda: check_model(model)),
    ]


def open_database(path):
    return sqlite3.connect(f'file:{path}?mode=ro', uri=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('database', type=pathlib.Path)
    parser.add_argument('report', type=pathlib.Path)
    parser.add_argument('model', type=pathlib.Path)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--goal', type=int, default=8)
    args = parser.parse_args()
    failed = 0
    for what, check in checks(open_database(args.database), json.loads(args.report.read_text()),
                              args.model, args.rounds, args.goal):
        try:
            check()
            print(f'ok      {what}')
        except AssertionError as error:
            failed += 1
            print(f'FAILED  {what}: {error}')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
