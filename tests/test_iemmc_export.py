"""The classifier of a clustering can be exported for any number of beats."""

from __future__ import annotations

import torch

from nasbench_ecg_immune.evaluator import KernelClassifier


def test_an_exported_classifier_takes_any_number_of_beats() -> None:
    model = KernelClassifier(18, 7, 3, 5).eval()
    torch.manual_seed(0)
    model.landmarks.normal_()
    model.coefficients.normal_()
    model.classes.copy_(torch.tensor([0, 2, 2]))
    batch = ({0: torch.export.Dim("batch", min=1)},)
    program = torch.export.export(model, (torch.randn(3, 1, 18),), dynamic_shapes=batch)
    for n in (1, 8):
        beats = torch.randn(n, 1, 18)
        assert torch.equal(program.module()(beats), model(beats))
