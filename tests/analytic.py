"""A network that is a formula, to hold residuals and maps against what is known."""

import torch
from torch import nn


class Analytic(nn.Module):
    """A function instead of a network, its derivatives in reverse mode."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.layers = nn.ParameterList([nn.Parameter(torch.zeros((), dtype=torch.float64))])

    def forward(self, z):
        return self.function(z) + self.layers[0]

    def jet(self, z, words):
        with torch.enable_grad():
            z = z.detach().requires_grad_()
            found = {(): self(z)}
            for word in words:
                columns = []
                for value in self(z).unbind(1):
                    for by in word:
                        grad = torch.autograd.grad(
                            value.sum(), z, create_graph=True, materialize_grads=True
                        )
                        value = grad[0][:, by]
                    columns.append(value)
                found[tuple(word)] = torch.stack(columns, dim=1)
        return found
