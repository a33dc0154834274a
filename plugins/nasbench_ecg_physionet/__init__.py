"""PhysioNet datasets: MIT-BIH Arrhythmia and Supraventricular, St.-Petersburg INCART, and QT.

Beats, leads and windows of MIT-BIH Arrhythmia, INCART and QT are those of the Heart-DARTS paper, so
that results are comparable. Three datasets contain feature vectors instead of waveforms, as in the
IEMMC paper.
"""

from __future__ import annotations

from collections.abc import Iterator

from nasbench_ecg.api import DatasetSpec, hookimpl

PLUGIN_API_VERSION = "1.0"

_ALL = ("intra-patient", "inter-patient", "inter-patient-strict", "patient-kfold")
_WITHOUT_FIXED_RECORDS = ("intra-patient", "patient-kfold")


@hookimpl
def nasbench_ecg_datasets() -> Iterator[DatasetSpec]:
    """Yield the datasets."""
    yield DatasetSpec(
        name="mitbih-1lead",
        target="nasbench_ecg_physionet.mitbih:MitBih",
        options="nasbench_ecg_physionet.mitbih:OneLeadOptions",
        summary="MIT-BIH Arrhythmia, lead V1, 300 samples a beat (inter-patient: lead MLII)",
        protocols=_ALL,
    )
    yield DatasetSpec(
        name="mitbih-2lead",
        target="nasbench_ecg_physionet.mitbih:MitBih",
        options="nasbench_ecg_physionet.mitbih:TwoLeadOptions",
        summary="MIT-BIH Arrhythmia, leads MLII and V1, 300 samples a beat",
        protocols=_ALL,
    )
    yield DatasetSpec(
        name="mitbih-2lead-context",
        target="nasbench_ecg_physionet.mitbih:MitBih",
        options="nasbench_ecg_physionet.mitbih:ContextOptions",
        summary="MIT-BIH Arrhythmia, two leads, 3 s of rhythm around a beat at 120 Hz",
        protocols=_ALL,
    )
    yield DatasetSpec(
        name="mitbih-2lead-rhythm",
        target="nasbench_ecg_physionet.mitbih:MitBih",
        options="nasbench_ecg_physionet.mitbih:RhythmOptions",
        summary="MIT-BIH Arrhythmia, as mitbih-2lead-context, and four rhythm planes a beat",
        protocols=_ALL,
    )
    yield DatasetSpec(
        name="svdb-2lead",
        target="nasbench_ecg_physionet.svdb:Svdb",
        options="nasbench_ecg_physionet.svdb:SvdbOptions",
        summary="MIT-BIH Supraventricular, leads ECG1 and ECG2, 107 samples a beat",
        protocols=_WITHOUT_FIXED_RECORDS,
    )
    yield DatasetSpec(
        name="svdb-2lead-context",
        target="nasbench_ecg_physionet.svdb:Svdb",
        options="nasbench_ecg_physionet.svdb:ContextOptions",
        summary="MIT-BIH Supraventricular, two leads, 3 s of rhythm around a beat at 120 Hz",
        protocols=_WITHOUT_FIXED_RECORDS,
    )
    yield DatasetSpec(
        name="svdb-2lead-rhythm",
        target="nasbench_ecg_physionet.svdb:Svdb",
        options="nasbench_ecg_physionet.svdb:RhythmOptions",
        summary="MIT-BIH Supraventricular, as svdb-2lead-context, and four rhythm planes a beat",
        protocols=_WITHOUT_FIXED_RECORDS,
    )
    yield DatasetSpec(
        name="mitbih-svdb-rhythm",
        target="nasbench_ecg_physionet.mitbih_svdb:MitBihSvdb",
        options="nasbench_ecg_physionet.mitbih_svdb:MitBihSvdbOptions",
        summary="mitbih-2lead-rhythm with the 78 persons of svdb in the training part",
        protocol="inter-patient",
        protocols=("inter-patient", "inter-patient-strict", "patient-kfold"),
    )
    yield DatasetSpec(
        name="incart-2lead",
        target="nasbench_ecg_physionet.incart:Incart",
        options="nasbench_ecg_physionet.incart:IncartOptions",
        summary="St.-Petersburg INCART, leads II and V1, 250 samples a beat",
        protocols=_WITHOUT_FIXED_RECORDS,
    )
    yield DatasetSpec(
        name="qt-1lead",
        target="nasbench_ecg_physionet.qt:Qt",
        options="nasbench_ecg_physionet.qt:QtOptions",
        summary="QT Database, first channel, 220 samples a beat",
        protocols=_WITHOUT_FIXED_RECORDS,
    )
    yield DatasetSpec(
        name="iemmc-beats",
        target="nasbench_ecg_physionet.features:IemmcBeats",
        options="nasbench_ecg_physionet.features:IemmcBeatsOptions",
        summary="1,682 beats of seven MIT-BIH records, 18 features each, as for IEMMC",
        protocols=_WITHOUT_FIXED_RECORDS,
    )
    yield DatasetSpec(
        name="iemmc-records",
        target="nasbench_ecg_physionet.within_records:IemmcRecords",
        options="nasbench_ecg_physionet.within_records:IemmcRecordsOptions",
        summary="240 beats of each of 21 MIT-BIH records, normal against other, 18 features each",
        protocols=_WITHOUT_FIXED_RECORDS,
    )
    yield DatasetSpec(
        name="mitbih-features",
        target="nasbench_ecg_physionet.features:MitBihFeatures",
        options="nasbench_ecg_physionet.features:MitBihFeaturesOptions",
        summary="MIT-BIH Arrhythmia, lead MLII, 18 features of intervals and amplitudes a beat",
        protocols=_ALL,
        revision=2,  # standardized on the training part
    )
