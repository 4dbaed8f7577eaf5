#!/usr/bin/env python3
"""An app in Python that takes part in federated learning with a trainer written in Python.

    linear.py HOST:PORT CERTS NAME STATE_DIR ROUNDS

Uses libfedwatt_client.so by ctypes (its path: FEDWATT_LIBRARY, else the system's) and nothing but
the standard library. The same job as the examples in C and C++: y = w x + b.
"""

import ctypes as c
import os
import random
import sys
import threading

OK, CANCELLED, NOT_FOUND, END, UNIMPLEMENTED, INTERNAL = 0, 1, 5, 11, 12, 13
F32 = 1
INPUTS, EXAMPLES = 4, 64
ABI_VERSION = 1


def struct(name, fields):
    """A struct of fedwatt.h that knows its version and size."""
    head = [('abi_version', c.c_uint32), ('struct_size', c.c_uint32)]
    kind = type(name, (c.Structure,), {'_fields_': head + fields})
    kind.new = classmethod(lambda cls, **values: cls(
        abi_version=ABI_VERSION, struct_size=c.sizeof(cls), **values))
    return kind


class Tensor(c.Structure):
    _fields_ = [('data', c.c_void_p), ('dtype', c.c_int32), ('dims', c.c_uint32),
                ('shape', c.c_int64 * 8)]


class Losses(c.Structure):
    _fields_ = [('examples', c.c_uint64), ('loss_sum', c.c_double), ('loss_sq_sum', c.c_double),
                ('correct', c.c_uint64), ('predictions', c.c_uint64)]


Error = struct('Error', [('code', c.c_int32), ('message', c.c_char * 1020)])
Batch = struct('Batch', [('examples', c.c_uint64), ('x', Tensor), ('y', Tensor)])
Dataset = struct('Dataset', [('name', c.c_char_p), ('schema_version', c.c_uint32),
                             ('examples', c.c_uint64)])
Plan = struct('Plan', [
    ('kind', c.c_int32), ('model_task', c.c_int32), ('optimizer', c.c_int32),
    ('local_epochs', c.c_uint32), ('local_steps', c.c_uint32), ('batch_size', c.c_uint32),
    ('max_examples', c.c_uint64), ('lr', c.c_double), ('momentum', c.c_double),
    ('weight_decay', c.c_double), ('beta1', c.c_double), ('beta2', c.c_double),
    ('eps', c.c_double), ('nesterov', c.c_int32), ('evaluate_before', c.c_int32),
    ('evaluate_after', c.c_int32), ('clip_grad_norm', c.c_double), ('proximal_mu', c.c_double),
    ('seed', c.c_uint64), ('time_left_ms', c.c_int64), ('job', c.c_char_p), ('round', c.c_uint64),
    ('dataset', c.c_char_p), ('model', c.c_char_p)])
Parameter = struct('Parameter', [('name', c.c_char_p), ('value', Tensor), ('trainable', c.c_int32),
                                 ('output', c.c_void_p)])
Outcome = struct('Outcome', [('examples', c.c_uint64), ('steps', c.c_uint64), ('before', Losses),
                             ('after', Losses)])
Event = struct('Event', [('kind', c.c_int32), ('code', c.c_int32), ('assignment', c.c_char_p),
                         ('text', c.c_char_p), ('delay_ms', c.c_int64),
                         ('steps_done', c.c_uint64), ('steps_total', c.c_uint64),
                         ('loss', c.c_double)])
EVENT_COMMITTED = 13

REWIND = c.CFUNCTYPE(c.c_int32, c.c_void_p, c.c_char_p, c.POINTER(Error))
NEXT = c.CFUNCTYPE(c.c_int32, c.c_void_p, c.c_char_p, c.c_uint64, c.POINTER(Batch),
                   c.POINTER(Error))
RUN = c.CFUNCTYPE(c.c_int32, c.c_void_p, c.c_void_p, c.POINTER(Outcome), c.POINTER(Error))
LOG = c.CFUNCTYPE(None, c.c_void_p, c.c_int32, c.c_char_p)
EVENT = c.CFUNCTYPE(None, c.c_void_p, c.POINTER(Event))

DataSource = struct('DataSource', [('ctx', c.c_void_p), ('rewind', REWIND), ('next', NEXT),
                                   ('destroy', c.c_void_p)])
Trainer = struct('Trainer', [('ctx', c.c_void_p), ('name', c.c_char_p),
                             ('formats', c.POINTER(c.c_char_p)), ('format_count', c.c_size_t),
                             ('run', RUN), ('destroy', c.c_void_p)])
Listener = struct('Listener', [('ctx', c.c_void_p), ('log', LOG), ('event', EVENT),
                               ('wake', c.c_void_p), ('destroy', c.c_void_p)])
Options = struct('Options', [
    ('server', c.c_char_p), ('ca_file', c.c_char_p), ('certificate_file', c.c_char_p),
    ('key_file', c.c_char_p), ('insecure_subject', c.c_char_p), ('state_dir', c.c_char_p),
    ('cache_limit_bytes', c.c_uint64), ('no_sync', c.c_int32),
    ('trusted_keys', c.POINTER(c.c_char_p)), ('trusted_key_count', c.c_size_t),
    ('datasets', c.POINTER(c.POINTER(Dataset))), ('dataset_count', c.c_size_t),
    ('data', c.POINTER(DataSource)), ('trainer', c.POINTER(Trainer)),
    ('torch_program', c.c_char_p), ('trainer_memory_bytes', c.c_uint64), ('meter', c.c_void_p),
    ('no_meter', c.c_int32), ('conditions', c.c_void_p), ('rules', c.c_void_p),
    ('listener', c.POINTER(Listener)), ('app_version', c.c_char_p), ('tenant', c.c_char_p),
    ('population', c.c_char_p), ('device_class', c.c_char_p), ('labels', c.c_void_p),
    ('label_count', c.c_size_t), ('telemetry_level', c.c_uint32), ('long_poll_ms', c.c_int64),
    ('callback_ms', c.c_int64)])

lib = c.CDLL(os.environ.get('FEDWATT_LIBRARY', 'libfedwatt_client.so.1'))
for function in ('client_open', 'client_run_in_background', 'client_close', 'task_plan',
                 'task_parameter', 'task_rewind', 'task_next', 'task_progress'):
    getattr(lib, 'fedwatt_' + function).restype = c.c_int32


class Failed(Exception):
    """An error of the client's, with its code."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


def check(function, *args):
    """Calls a function whose last argument is a fedwatt_error."""
    error = Error.new()
    code = function(*args, c.byref(error))
    if code != OK:
        raise Failed(code, error.message.decode())


def guarded(body, error):
    """What a callback returns: the code of whatever happened in `body`."""
    try:
        body()
        return OK
    except Failed as failed:
        error.contents.code, error.contents.message = failed.code, str(failed).encode()[:1019]
        return failed.code
    except Exception as problem:  # nothing may leave a callback but a code
        error.contents.code, error.contents.message = INTERNAL, repr(problem).encode()[:1019]
        return INTERNAL


class Points:
    """The app's data: y = 1 x0 - 2 x1 + 3 x2 - 4 x3 + 0.5."""

    def __init__(self, seed):
        rng = random.Random(seed)
        rows = [[rng.uniform(-1, 1) for _ in range(INPUTS)] for _ in range(EXAMPLES)]
        weight = (1, -2, 3, -4)
        self.x = (c.c_float * (EXAMPLES * INPUTS))(*[value for row in rows for value in row])
        self.y = (c.c_float * EXAMPLES)(
            *[0.5 + sum(w * v for w, v in zip(weight, row)) for row in rows])
        self.at = 0
        self.table = DataSource.new(rewind=REWIND(self.rewind), next=NEXT(self.next))

    def rewind(self, _, dataset, error):
        def body():
            if dataset != b'points':
                raise Failed(NOT_FOUND, 'this app has points only')
            self.at = 0
        return guarded(body, error)

    def next(self, _, dataset, max_examples, batch, error):
        if self.at == EXAMPLES:
            return END

        def body():
            n = min(max_examples, EXAMPLES - self.at)
            out = batch.contents
            out.examples = n
            out.x = Tensor(c.addressof(self.x) + 4 * INPUTS * self.at, F32, 2, (n, INPUTS))
            out.y = Tensor(c.addressof(self.y) + 4 * self.at, F32, 2, (n, 1))
            self.at += n
        return guarded(body, error)


def floats(address, count):
    return (c.c_float * count).from_address(address)


class LinearTrainer:
    def __init__(self):
        self.formats = (c.c_char_p * 1)(b'linear')
        self.table = Trainer.new(name=b'linear', formats=self.formats, format_count=1,
                                 run=RUN(self.run))

    def run(self, _, task, outcome, error):
        return guarded(lambda: self.train(c.c_void_p(task), outcome.contents), error)

    def train(self, task, outcome):
        plan = Plan.new()
        check(lib.fedwatt_task_plan, task, c.byref(plan))
        if plan.optimizer != 1 or plan.momentum != 0 or plan.local_epochs == 0:
            raise Failed(UNIMPLEMENTED, 'plan: this trainer does epochs of plain SGD only')
        weight, bias = Parameter.new(), Parameter.new()
        check(lib.fedwatt_task_parameter, task, c.c_size_t(0), c.byref(weight))
        check(lib.fedwatt_task_parameter, task, c.c_size_t(1), c.byref(bias))
        first = [*floats(weight.value.data, INPUTS), *floats(bias.value.data, 1)]
        model = list(first)
        self.run_pass(task, plan, 0, model, outcome.before)
        for epoch in range(plan.local_epochs):
            self.run_pass(task, plan, plan.lr, model, Losses())
            outcome.steps = epoch + 1
        self.run_pass(task, plan, 0, model, outcome.after)
        outcome.examples = outcome.after.examples
        if weight.output:
            delta = [new - old for new, old in zip(model, first)]
            floats(weight.output, INPUTS)[:] = delta[:INPUTS]
            floats(bias.output, 1)[0] = delta[INPUTS]

    @staticmethod
    def run_pass(task, plan, lr, model, losses):
        """One pass over the data: the loss, and with a learning rate a step after each batch."""
        check(lib.fedwatt_task_rewind, task)
        while True:
            batch = Batch.new()
            try:
                check(lib.fedwatt_task_next, task, c.c_uint64(plan.batch_size), c.byref(batch))
            except Failed as failed:
                if failed.code == END:
                    return
                raise
            n = batch.examples
            x, y = floats(batch.x.data, n * INPUTS), floats(batch.y.data, n)
            gradient = [0.0] * (INPUTS + 1)
            for i in range(n):
                row = [*x[i * INPUTS:(i + 1) * INPUTS], 1.0]
                wrong = sum(w * v for w, v in zip(model, row)) - y[i]
                gradient = [g + wrong * v for g, v in zip(gradient, row)]
                losses.loss_sum += 0.5 * wrong * wrong
                losses.loss_sq_sum += 0.25 * wrong ** 4
            losses.examples += n
            if lr:
                model[:] = [w - lr / n * g for w, g in zip(model, gradient)]
                check(lib.fedwatt_task_progress, task, c.c_uint64(1), c.c_uint64(0),
                      c.c_double(losses.loss_sum))
                if lib.fedwatt_task_cancelled(task):
                    raise Failed(CANCELLED, 'the device has to stop')


def main():
    if len(sys.argv) != 6:
        sys.exit('usage: linear.py HOST:PORT CERTS NAME STATE_DIR ROUNDS')
    server, certs, name, state_dir, rounds = sys.argv[1:]
    left = [int(rounds)]
    done = threading.Event()

    def on_event(_, event):
        if event.contents.kind == EVENT_COMMITTED:
            left[0] -= 1
            if left[0] <= 0:
                done.set()

    def log(_, level, line):
        print(line.decode(), file=sys.stderr, flush=True)

    # What C code points to must live as long as the client: these names keep it.
    points, trainer = Points(name), LinearTrainer()
    listener = Listener.new(log=LOG(log), event=EVENT(on_event))
    dataset = Dataset.new(name=b'points', examples=EXAMPLES)
    datasets = (c.POINTER(Dataset) * 1)(c.pointer(dataset))
    with open(f'{certs}/owner.pub', 'rb') as file:
        keys = (c.c_char_p * 1)(file.read())
    options = Options.new(
        server=server.encode(), ca_file=f'{certs}/ca.pem'.encode(),
        certificate_file=f'{certs}/{name}.pem'.encode(), key_file=f'{certs}/{name}.key'.encode(),
        state_dir=state_dir.encode(), trusted_keys=keys, trusted_key_count=1, datasets=datasets,
        dataset_count=1, data=c.pointer(points.table), trainer=c.pointer(trainer.table),
        listener=c.pointer(listener), telemetry_level=1, long_poll_ms=2000)
    client = c.c_void_p()
    try:
        check(lib.fedwatt_client_open, c.byref(options), c.byref(client))
        check(lib.fedwatt_client_run_in_background, client)
        done.wait()
        check(lib.fedwatt_client_close, client, c.c_int64(5000))
    except Failed as failed:
        sys.exit(f'error {failed.code}: {failed}')
    print(f'{rounds} updates counted')


if __name__ == '__main__':
    main()
