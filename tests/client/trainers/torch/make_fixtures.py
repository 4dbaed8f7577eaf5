"""Writes the modules that a user of PyTorch might bring, good and bad: make_fixtures.py FOLDER."""

import sys
from pathlib import Path
from typing import Dict

import torch
from torch import Tensor
from torch.nn import functional


class Line(torch.nn.Module):
    """w x, squared error per example."""

    def __init__(self):
        super().__init__()
        self.w = torch.nn.Parameter(torch.tensor([0.5]))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.w

    @torch.jit.export
    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        return (self.forward(x) - y).square().flatten()


class MeanLine(Line):
    @torch.jit.export
    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        return (self.forward(x) - y).square().mean()


class Points(torch.nn.Module):
    """w x + b of four inputs, squared error."""

    def __init__(self):
        super().__init__()
        self.line = torch.nn.Linear(4, 1)
        torch.nn.init.zeros_(self.line.weight)
        torch.nn.init.zeros_(self.line.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.line(x)

    @torch.jit.export
    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        return (self.forward(x) - y).square().flatten()


class Norm(torch.nn.Module):
    """With the buffers of a batch norm, dropout and metrics of its own."""

    def __init__(self):
        super().__init__()
        self.body = torch.nn.Linear(4, 8)
        self.norm = torch.nn.BatchNorm1d(8)
        self.drop = torch.nn.Dropout(0.25)
        self.head = torch.nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.drop(torch.relu(self.norm(self.body(x)))))

    @torch.jit.export
    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        return functional.cross_entropy(self.forward(x), y, reduction='none')

    @torch.jit.export
    def metrics(self, x: Tensor, y: Tensor) -> Dict[str, Tensor]:
        top2 = self.forward(x).topk(2, 1)[1]
        return {'top2': (top2 == y.unsqueeze(1)).any(1).float(), 'constant': torch.tensor(3.0)}


class Stateful(Line):
    """Counts its calls in an attribute and replaces its buffer: a rerun must start anew."""

    def __init__(self):
        super().__init__()
        self.calls = 0
        self.register_buffer('total', torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.total = self.total + 1
        return x * self.w + 0.01 * self.calls


class Transformer(torch.nn.Module):
    """What attention needs of the allow-list."""

    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(11, 8)
        layer = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.encoder = torch.nn.TransformerEncoder(layer, 1)
        self.head = torch.nn.Linear(8, 11)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(self.embed(x))).transpose(1, 2)

    @torch.jit.export
    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        return functional.cross_entropy(self.forward(x), y, reduction='none').mean(1)


class FromFile(Line):
    def forward(self, x: Tensor) -> Tensor:
        stolen = torch.from_file('/etc/passwd', False, 16, dtype=torch.uint8)
        return x * self.w + stolen.float().mean()


class Nested(torch.nn.Module):
    """The forbidden operator hides in a branch of a loop of a function of a submodule."""

    def __init__(self):
        super().__init__()
        self.inner = Line()

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)

    @torch.jit.export
    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        return helper(self.forward(x), y)


def helper(x: Tensor, y: Tensor) -> Tensor:
    for i in range(3):
        if i == 7:
            torch.manual_seed(1)
    return (x - y).square().flatten()


class Unlisted(Line):
    def forward(self, x: Tensor) -> Tensor:
        return x * self.w * torch.special.i0e(self.w)


class Prints(Line):
    def forward(self, x: Tensor) -> Tensor:
        print(x)
        return x * self.w


def times(x: Tensor, y: Tensor) -> Tensor:
    return x * y


class Forks(Line):
    def forward(self, x: Tensor) -> Tensor:
        return torch.jit.wait(torch.jit.fork(times, x, self.w))


class Allocates(Line):
    """Harmless on zeros, a terabyte on data."""

    def forward(self, x: Tensor) -> Tensor:
        if bool(x.abs().sum() > 0):
            return x * self.w + torch.zeros([1 << 38]).sum()
        return x * self.w


class Loops(Line):
    """Harmless on zeros, endless on data."""

    def forward(self, x: Tensor) -> Tensor:
        while bool(x.abs().sum() > 0):
            x = x + 1.0
        return x * self.w


class SetState(Line):
    @torch.jit.export
    def __getstate__(self):
        return (self.w, self.training)

    @torch.jit.export
    def __setstate__(self, state: tuple[Tensor, bool]):
        self.w = state[0]
        self.training = state[1]


class NoLoss(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.w = torch.nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.w


class WrongLoss(Line):
    @torch.jit.export
    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        return self.forward(x).unsqueeze(0) - y


class Detached(Line):
    @torch.jit.export
    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        return (self.forward(x).detach() - y).square().flatten()


class Tied(Line):
    def __init__(self):
        super().__init__()
        self.v = self.w


class Reassigns(Line):
    def forward(self, x: Tensor) -> Tensor:
        self.w = self.w * 1.0
        return x * self.w


class Frozen(Line):
    def __init__(self):
        super().__init__()
        self.bias = torch.nn.Parameter(torch.zeros(1), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.w + self.bias


class Quantized(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = torch.ao.quantization.quantize_dynamic(
            torch.nn.Sequential(torch.nn.Linear(1, 1)), {torch.nn.Linear})

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    modules = {
        'line': Line(), 'mean_line': MeanLine(), 'norm': Norm(), 'stateful': Stateful(),
        'transformer': Transformer(), 'from_file': FromFile(), 'nested': Nested(),
        'unlisted': Unlisted(), 'prints': Prints(), 'forks': Forks(), 'allocates': Allocates(),
        'loops': Loops(), 'setstate': SetState(), 'no_loss': NoLoss(), 'wrong_loss': WrongLoss(),
        'detached': Detached(), 'tied': Tied(), 'reassigns': Reassigns(), 'frozen': Frozen(),
        'points': Points(), 'double': Line().double(), 'quantized': Quantized(),
    }
    for name, module in modules.items():
        torch.jit.script(module).save(str(folder / f'{name}.pt'))
    torch.jit.trace(NoLoss(), torch.zeros(2, 1)).save(str(folder / 'traced.pt'))
    torch.save(Line().state_dict(), folder / 'state_dict.pt')


if __name__ == '__main__':
    main()
