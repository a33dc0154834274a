"""Edges that leave out operations of no weight: for mixtures that are one operation."""

from __future__ import annotations

from torch import Tensor

from nasbench_ecg_darts.merged import summed
from nasbench_ecg_darts.supernet import MixedOperation, PlainEdges, edge_index


class SparseEdges(PlainEdges):
    """:class:`PlainEdges` where an operation whose weight is exactly zero is not computed.

    Its weights get no gradient then, and neither does its mixing weight.
    """

    def forward(self, s0: Tensor, s1: Tensor, weights: Tensor) -> list[Tensor]:
        """Return the intermediate nodes; every edge must have an operation of some weight."""
        weighty = (weights.detach() != 0).tolist()
        states = [s0, s1]
        for node in range(self.nodes):
            terms = []
            for source in range(node + 2):
                row = edge_index(node, source)
                edge = self.edges[row]
                assert isinstance(edge, MixedOperation)
                terms += [
                    weights[row, o] * operation(states[source])
                    for o, operation in enumerate(edge.operations)
                    if weighty[row][o]
                ]
            states.append(summed(terms))
        return states[2:]
