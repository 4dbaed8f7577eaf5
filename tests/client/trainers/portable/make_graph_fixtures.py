"""Writes modules of PyTorch's own layers, for training graphs: make_graph_fixtures.py FOLDER.

Images are [2, 8, 8] in three classes, numbers are [6], words are codes below 11.
"""

import sys
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional


class Classifier(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)

    @torch.jit.export
    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        return functional.cross_entropy(self.forward(x), y, reduction='none')


def images(*layers, width):
    return Classifier(*layers, nn.Flatten(), nn.Linear(width, 3))


class Residual(nn.Module):
    """What MobileNet and ResNet are made of."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(2, 8, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
        self.bn2 = nn.BatchNorm2d(8)
        self.pointwise = nn.Conv2d(8, 8, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(8)
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.stem(x)))
        out = functional.relu6(self.bn2(self.depthwise(x)))
        out = self.bn3(self.pointwise(out))
        out += x
        return self.head(functional.relu(out).mean([2, 3]))

    @torch.jit.export
    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        return functional.cross_entropy(self.forward(x), y, reduction='none')


class MeanLoss(Classifier):
    @torch.jit.export
    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        return functional.cross_entropy(self.forward(x), y)


class LogProbabilities(Classifier):
    @torch.jit.export
    def loss_from_output(self, output: Tensor, y: Tensor) -> Tensor:
        return functional.nll_loss(output, y, reduction='none')

    @torch.jit.export
    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        return self.loss_from_output(self.forward(x), y)


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(11, 8, padding_idx=0)
        self.body = nn.Linear(8, 16)
        self.head = nn.Linear(16, 11)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.body(self.embed(x)))).transpose(1, 2)

    @torch.jit.export
    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        return functional.cross_entropy(self.forward(x), y, reduction='none').mean(1)


class Regression(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(6, 8)
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(functional.silu(self.body((x - 0.5) / 0.25)))


class Mse(Regression):
    @torch.jit.export
    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        return functional.mse_loss(self.forward(x), y, reduction='none').mean(1)


class SquareSum(Regression):
    @torch.jit.export
    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        return (self.forward(x) - y).square().sum(1)


class L1(Regression):
    @torch.jit.export
    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        return functional.l1_loss(self.forward(x), y)


class Bce(Regression):
    @torch.jit.export
    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(
            self.forward(x), y, reduction='none').mean(1)


class DataBranch(Classifier):
    def forward(self, x: Tensor) -> Tensor:
        if bool(x.sum() > 0):
            x = x * 2.0
        return self.layers(x)


class Weighted(Classifier):
    @torch.jit.export
    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        return functional.cross_entropy(self.forward(x), y, weight=torch.tensor([1.0, 2.0, 3.0]),
                                        reduction='none')


class InPlaceView(nn.Module):
    """A view of what changes in place: what the layers see is not what they were given."""

    def __init__(self):
        super().__init__()
        self.body = nn.Linear(6, 6)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        body = self.body(x)
        view = body.view(x.size(0), 6, 1)
        body.relu_()
        return self.head(view.flatten(1))

    @torch.jit.export
    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        return functional.cross_entropy(self.forward(x), y, reduction='none')


def fixtures():
    yield 'linear', Classifier(nn.Linear(6, 3))
    yield 'linear_no_bias', Classifier(nn.Linear(6, 3, bias=False))
    yield 'conv', images(nn.Conv2d(2, 4, 3), width=4 * 6 * 6)
    yield 'conv_strided', images(nn.Conv2d(2, 4, (3, 2), stride=(2, 1), padding=(2, 1)),
                                 width=4 * 5 * 9)
    yield 'conv_dilated', images(nn.Conv2d(2, 4, 3, dilation=2, padding='same'), width=4 * 64)
    yield 'conv_depthwise', images(nn.Conv2d(2, 6, 3, groups=2, padding=1), width=6 * 64)
    yield 'conv_1x1', images(nn.Conv2d(2, 4, 1), nn.ReLU(), nn.Conv2d(4, 3, 1), width=3 * 64)
    yield 'batch_norm', images(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), width=4 * 36)
    yield 'batch_norm_1d', Classifier(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Tanh(),
                                      nn.Linear(5, 3))
    yield 'batch_norm_bare', images(
        nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4, affine=False, track_running_stats=False),
        width=4 * 36)
    yield 'group_norm', images(nn.Conv2d(2, 6, 3), nn.GroupNorm(3, 6), nn.ReLU(), width=6 * 36)
    yield 'layer_norm', Classifier(nn.Linear(6, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 3))
    yield 'max_pool', images(nn.Conv2d(2, 4, 3), nn.MaxPool2d(3, 2, 1, ceil_mode=True),
                             width=4 * 16)
    yield 'avg_pool', images(nn.Conv2d(2, 4, 3), nn.AvgPool2d(3, 2, 1, ceil_mode=True),
                             width=4 * 16)
    yield 'avg_pool_inside', images(
        nn.Conv2d(2, 4, 3), nn.AvgPool2d((2, 3), padding=1, count_include_pad=False),
        width=4 * 4 * 2)
    yield 'adaptive_pool', images(nn.Conv2d(2, 4, 3), nn.AdaptiveAvgPool2d((4, 1)), width=16)
    yield 'global_pool', images(nn.Conv2d(2, 4, 3), nn.AdaptiveAvgPool2d(1), width=4)
    for name, layer in [('relu', nn.ReLU()), ('relu6', nn.ReLU6()), ('leaky_relu', nn.LeakyReLU()),
                        ('gelu', nn.GELU()), ('gelu_tanh', nn.GELU(approximate='tanh')),
                        ('tanh', nn.Tanh()), ('sigmoid', nn.Sigmoid()), ('silu', nn.SiLU()),
                        ('softmax', nn.Softmax(1)), ('no_dropout', nn.Dropout(0.0))]:
        yield name, Classifier(nn.Linear(6, 8), layer, nn.Linear(8, 3))
    yield 'residual', Residual()
    yield 'mean_loss', MeanLoss(nn.Linear(6, 3))
    yield 'log_softmax', LogProbabilities(nn.Linear(6, 3), nn.LogSoftmax(1))
    yield 'words', Words()
    yield 'mse', Mse()
    yield 'square_sum', SquareSum()
    yield 'l1', L1()
    yield 'bce', Bce()
    yield 'dropout', Classifier(nn.Linear(6, 8), nn.Dropout(0.25), nn.Linear(8, 3))
    yield 'data_branch', DataBranch(nn.Linear(6, 3))
    yield 'weighted', Weighted(nn.Linear(6, 3))
    yield 'transposed', images(nn.ConvTranspose2d(2, 4, 3), width=400)
    yield 'in_place_view', InPlaceView()


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(1)
    for name, module in fixtures():
        torch.jit.script(module).save(folder / f'{name}.pt')


main()
