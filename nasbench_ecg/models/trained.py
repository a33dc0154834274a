"""The trained network of a run as a PyTorch module, with the preparation of its beats."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from nasbench_ecg.data.beats import Beats
from nasbench_ecg.data.preparation import cut_beats
from nasbench_ecg.data.record_options import WaveformOptions, denoise_rate
from nasbench_ecg.errors import OptionError
from nasbench_ecg.models.load import load_model
from nasbench_ecg.models.preparation import check_shape
from nasbench_ecg.plugin.registry import Registry, load_registry
from nasbench_ecg.progress import Silent
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.training.engine import predict

_BATCH = 1024


class TrainedModel(nn.Module):
    """The trained network of a run, on the CPU and set to evaluation.

    Attributes:
        network: The network: beats [batch, leads, samples] to logits [batch, classes].
        record: The run record.
        options: Options of the dataset, which say how beats are prepared.
    """

    def __init__(self, network: nn.Module, record: RunRecord, options: object) -> None:
        super().__init__()
        self.network = network
        self.record = record
        self.options = options
        self.eval()

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the outputs."""
        return tuple(self.record.classes)

    def forward(self, beats: Tensor) -> Tensor:
        """Return the logits of beats [batch, leads, samples], float32 [batch, classes]."""
        return cast(Tensor, self.network(beats))

    def probabilities(self, beats: Beats | ArrayLike | Tensor) -> NDArray[np.float32]:
        """Return class probabilities, float32 [n_beats, n_classes].

        Args:
            beats: Prepared beats, or an array [n_beats, leads, samples] of prepared windows.

        Raises:
            OptionError: Leads or samples are not those of the run, or a value is not finite.
        """
        if isinstance(beats, Beats):
            check_shape(beats.signals.shape[1:], *self._expected)
            return predict(self.network, beats, device="cpu")
        windows = _windows(beats)
        check_shape(windows.shape[1:], *self._expected)
        if not (finite := windows.isfinite().all(dim=2).all(dim=1)).all():
            raise OptionError(
                f"{int((~finite).sum()):,} of {len(finite):,} beats contain NaN or infinity.",
                where=f"beat {int((~finite).nonzero()[0])}",
                fix="Leave these beats out.",
            )
        with torch.no_grad():
            parts = torch.split(windows, _BATCH)
            found = torch.cat([self(part).float().softmax(dim=1) for part in parts])
        return cast("NDArray[np.float32]", found.numpy())

    def classify(self, beats: Beats | ArrayLike | Tensor) -> list[str]:
        """Return the name of the most probable class of each beat.

        Args:
            beats: Prepared beats, or an array [n_beats, leads, samples] of prepared windows.

        Raises:
            OptionError: Leads or samples are not those of the run, or a value is not finite.
        """
        return [self.classes[i] for i in self.probabilities(beats).argmax(axis=1)]

    def prepare(
        self, folder: Path | str, records: Sequence[str] | None = None, extension: str = "atr"
    ) -> Beats:
        """Return beats of WFDB records, cut and processed as those that trained the network.

        Records of another sampling rate are resampled to that of the training.

        Args:
            folder: Folder of the records and of annotations of their R peaks.
            records: Names of the records, also of those that the run left out; None: those of the
                run.
            extension: Extension of the annotation files.

        Raises:
            OptionError: The dataset of the run does not cut windows out of records, or ``records``
                is no list of names.
            RecordError: A record is missing or damaged, or lacks a lead.
        """
        if not isinstance(self.options, WaveformOptions):
            raise OptionError(
                f"The dataset {self.record.dataset_name!r} does not cut beats out of records.",
                fix="Prepare the beats with the dataset itself: nasbench_ecg.load_dataset.",
            )
        if isinstance(records, str) or (records is not None and not len(records)):
            raise OptionError(
                f"records={records!r} is not a list of names.", fix='For example: ["100", "101"]'
            )
        data = self.record.dataset
        assert data is not None
        if not self.options.records:  # all records of the dataset
            records = records or data.records
        rates = {"rate": data.fs, "denoise_rate": denoise_rate(self.options, data.fs)}
        options = self.options.undisturbed.model_copy(update=rates)
        if records is not None:
            options = options.model_copy(update={"records": tuple(records), "exclude": None})
        return cut_beats(
            Path(folder), options, Silent(), classes=self.classes, extension=extension
        ).beats

    @property
    def _expected(self) -> tuple[Sequence[str], int]:
        """Leads and number of samples of a beat."""
        data = self.record.dataset
        assert data is not None
        return data.leads, data.n_samples


def _windows(beats: ArrayLike | Tensor) -> Tensor:
    """Return windows as float32 on the CPU.

    Raises:
        OptionError: They are no array of numbers.
    """
    try:
        if np.ma.is_masked(beats):
            raise ValueError("some of their values are masked")
        if not isinstance(beats, Tensor) and np.iscomplexobj(beats):
            raise ValueError("their values are complex")
        with np.errstate(over="ignore"):  # what is too large becomes infinite
            array = beats if isinstance(beats, Tensor) else np.asarray(beats, dtype=np.float32)
        return torch.as_tensor(array, dtype=torch.float32, device="cpu")
    except (TypeError, ValueError) as error:
        raise OptionError(
            f"These beats are not an array of numbers: {str(error).rstrip('.')}.",
            fix="Give an array [beats, leads, samples].",
        ) from error


def trained_model(record: RunRecord, out: Path, registry: Registry | None = None) -> TrainedModel:
    """Return the trained network of a run; arguments and errors as of ``load_model``."""
    registry = registry or load_registry()
    used = record.components["dataset"]
    component = registry.get("dataset", used.name)
    options = component.options_model()(**used.options)
    return TrainedModel(load_model(record, out, registry), record, options)
