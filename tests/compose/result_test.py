#!/usr/bin/env python3
"""The checks of result.py accept a good run, and each finds what it is there for."""

import copy
import pathlib
import sqlite3
import tempfile
import unittest
import zipfile

import result

ROUNDS, GOAL = 2, 3


def good_database():
    """As after a run: an assignment and its joules for each of GOAL clients in each round."""
    database = sqlite3.connect(':memory:')
    database.executescript(
        'CREATE TABLE assignments (job, evaluation, round, attempt, idx, client, state);'
        'CREATE TABLE energy (job, evaluation, round, attempt, idx, phase, source, quality, '
        '                     energy_uj, "use");')
    for number in range(1, ROUNDS + 1):
        for i in range(GOAL):
            database.execute("INSERT INTO assignments VALUES ('j', 0, ?, 1, ?, ?, ?)",
                             (number, i, f'client {i}', result.COMMITTED))
            add_energy(database, number, i)
    add_energy(database, 1, result.COORDINATOR_INDEX, uj=77)  # stands apart from the devices'
    return database


def add_energy(database, number, index, uj=1000, quality=3, use=result.USEFUL):
    database.execute("INSERT INTO energy VALUES ('j', 0, ?, 1, ?, ?, 'cpu_time', ?, ?, ?)",
                     (number, index, result.TRAIN, quality, uj, use))


def good_report():
    return {'state': 'completed', 'reason': '', 'best_metric': 0.5,
            'energy': [{'source': 'cpu_time', 'useful_uj': ROUNDS * GOAL * 1000, 'wasted_uj': 0}],
            'rounds': [{'key': {'round': n, 'attempt': 1}, 'phase': 'committed', 'reported': GOAL,
                        'failed': 0, 'late': 0} for n in range(1, ROUNDS + 1)]}


class Rounds(unittest.TestCase):
    def test_accepts_complete_ones(self):
        result.check_rounds(good_report(), ROUNDS, GOAL)

    def test_finds_what_is_missing_or_was_repeated(self):
        for path, value, words in ((('state',), 'failed', 'failed'),
                                   (('rounds', 1, 'reported'), GOAL - 1, '2 of 3 reports'),
                                   (('rounds', 0, 'key', 'attempt'), 2, '2 attempts'),
                                   (('rounds', 1, 'late'), 1, '1 late'),
                                   (('rounds', 0, 'phase'), 'abandoned', r'rounds \[2\]')):
            report = copy.deepcopy(good_report())
            place = report
            for step in path[:-1]:
                place = place[step]
            place[path[-1]] = value
            with self.assertRaisesRegex(AssertionError, words):
                result.check_rounds(report, ROUNDS, GOAL)


class Assignments(unittest.TestCase):
    def check_fails_after(self, statement):
        database = good_database()
        database.execute(statement)
        with self.assertRaises(AssertionError):
            result.check_assignments(database, ROUNDS, GOAL)

    def test_accepts_each_once(self):
        result.check_assignments(good_database(), ROUNDS, GOAL)

    def test_finds_one_too_many(self):
        self.check_fails_after("INSERT INTO assignments VALUES ('j', 0, 1, 2, 0, 'client 9', 3)")

    def test_finds_a_client_that_counts_twice(self):
        self.check_fails_after("UPDATE assignments SET client = 'client 0' WHERE idx = 1")

    def test_finds_one_that_was_not_counted(self):
        self.check_fails_after('UPDATE assignments SET state = 5 WHERE round = 2 AND idx = 1')


class Energy(unittest.TestCase):
    def check_fails_after(self, change, words):
        database, report = good_database(), good_report()
        change(database, report)
        with self.assertRaisesRegex(AssertionError, words):
            result.check_energy(database, report, ROUNDS, GOAL)

    def test_accepts_a_ledger_that_adds_up(self):
        result.check_energy(good_database(), good_report(), ROUNDS, GOAL)

    def test_finds_an_assignment_without_joules(self):
        self.check_fails_after(
            lambda database, report: database.execute('DELETE FROM energy WHERE round = 2 AND idx = 0'),
            '5 of 6')

    def test_finds_a_sample_that_the_report_has_not(self):
        self.check_fails_after(lambda database, report: add_energy(database, 1, 0, uj=5),
                               'samples sum to 6005')

    def test_finds_wasted_joules_that_the_report_has_not(self):
        self.check_fails_after(
            lambda database, report: add_energy(database, 1, 0, uj=5, use=result.WASTED),
            'samples sum to 5')

    def test_finds_what_was_never_settled(self):
        self.check_fails_after(
            lambda database, report: add_energy(database, 1, 0, use=result.PENDING), 'neither')

    def test_finds_an_unavailable_figure_that_is_zero(self):
        self.check_fails_after(
            lambda database, report: add_energy(database, 1, 0, uj=0, quality=result.UNAVAILABLE),
            'unavailable')


class Model(unittest.TestCase):
    def test_tells_learning_from_guessing(self):
        result.check_learning(good_report())
        with self.assertRaises(AssertionError):
            result.check_learning(dict(good_report(), best_metric=0.1))

    def test_takes_a_whole_torchscript_archive_only(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / 'model.pt'
            with zipfile.ZipFile(path, 'w') as archive:
                archive.writestr('model/data.pkl', b'x' * 1000)
            result.check_model(path)
            damaged = bytearray(path.read_bytes())
            damaged[200] ^= 1
            path.write_bytes(damaged)
            with self.assertRaisesRegex(AssertionError, 'damaged'):
                result.check_model(path)
            with zipfile.ZipFile(path, 'w') as archive:
                archive.writestr('readme', 'x')
            with self.assertRaisesRegex(AssertionError, 'holds only'):
                result.check_model(path)


if __name__ == '__main__':
    unittest.main()
