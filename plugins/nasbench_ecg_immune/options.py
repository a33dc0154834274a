"""Options of the immune engine and of the components built on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from nasbench_ecg.api import Options

Newcomers = Literal["functions", "labels"]
Mutation = Literal["inverse", "proportional"]


class EvolutionOptions(Options):
    """Options of the immune engine for any problem; the paper gives no values for them."""

    antibodies: int = Field(100, ge=2)
    """Number of antibodies in the population."""

    memory: int = Field(10, ge=1)
    """Number of best antibodies that are always kept."""

    parents: int = Field(20, ge=1)
    """Number of best antibodies that are cloned in a generation."""

    clone_factor: float = Field(0.2, gt=0)
    """Clones of an antibody: this factor times the population size, divided by its rank."""

    rho: float = Field(2.0, gt=0)
    """Decay of the hypermutation with affinity: the rate is exp(-rho · normalized affinity)."""

    mutation: Mutation = "inverse"
    """``inverse`` changes better antibodies less; ``proportional``, the paper's wording, more."""

    suppression: float = Field(0.05, ge=0, lt=1)
    """Antibodies closer than this to a better one are removed; distances are in 0…1."""

    edited_share: float = Field(0.2, ge=0, lt=1)
    """Share of the population that random antibodies replace in each generation."""

    generations: int = Field(20, ge=1)
    """Largest number of generations."""

    evaluations: int | None = Field(None, ge=1)
    """Largest number of antibodies evaluated; no limit by default."""

    stagnation: int | None = Field(None, ge=1)
    """Generations without a better antibody after which the search ends; no limit by default."""

    batch: int | None = Field(None, ge=1)
    """Antibodies evaluated between two checks of the time limit; all of a generation by default."""


class ImmuneOptions(EvolutionOptions):
    """Options of ``immune``. Its profiles evaluate as many architectures as those of ``random``."""

    PROFILES: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {
            "antibodies": 5,
            "memory": 2,
            "parents": 2,
            "evaluations": 20,
            "epochs": 3,
            "beats": 8000,
        },
        "quick": {
            "antibodies": 4,
            "memory": 2,
            "parents": 2,
            "evaluations": 12,
            "epochs": 3,
            "beats": 6000,
        },
        "smoke": {
            "antibodies": 2,
            "memory": 1,
            "parents": 1,
            "evaluations": 4,
            "epochs": 1,
            "beats": 500,
        },
    }

    selection: Literal["score", "nsga2"] = "score"
    """Which architectures are cloned: those with the best ``score``, or by ``nsga2`` those of the
    first non-dominated fronts of score and ``objectives``."""

    objectives: tuple[Literal["parameters", "macs", "latency"], ...] = Field(
        ("parameters",), min_length=1
    )
    """Costs that ``nsga2`` minimizes."""

    antibodies: int = Field(20, ge=2)
    """Number of architectures in the population."""

    memory: int = Field(4, ge=1)
    """Number of best architectures that are always kept."""

    parents: int = Field(5, ge=1)
    """Number of best architectures that are cloned in a generation."""

    rho: float = Field(2.0, gt=0)
    """Decay of the hypermutation with affinity: the rate is exp(-rho · normalized affinity)."""

    suppression: float = Field(0.05, ge=0, lt=1)
    """Architectures that differ from a better one in less than this share of values are removed."""

    edited_share: float = Field(0.1, ge=0, lt=1)
    """Share of the population that random architectures replace in each generation, rounded to a
    whole number: 2 of 20, and none of 5 or fewer, as in the smaller profiles."""

    generations: int = Field(1000, ge=1)
    """Largest number of generations."""

    evaluations: int | None = Field(100, ge=1)
    """Largest number of architectures evaluated; null for no limit."""

    batch: int | None = Field(4, ge=1)
    """Architectures evaluated between two checks of the time limit; null: all of a generation."""

    largest_step: int = Field(4, ge=1)
    """Number of mutations that a hypermutation of rate 1 makes."""

    epochs: int | None = Field(10, ge=1)
    """Training epochs of a candidate; null uses the evaluator's own number."""

    beats: int | None = Field(None, ge=2)
    """Largest number of training beats of a candidate; null uses the evaluator's own number."""


class LabelingsOptions(Options):
    """Options of ``labelings``."""

    FOLLOWS_DATA: ClassVar = frozenset({"beats"})

    clusters: int = Field(5, ge=2, le=256)
    """Largest number of clusters of a labeling."""

    balance: float = Field(1.0, ge=0, le=1)
    """Largest difference between a cluster and the rest, as a share of the beats."""

    beats: int = Field(1000, ge=2)
    """Number of beats of a random labeling. Clustering strategies label the beats of the task."""

    within: Literal["record"] | None = None
    """``record``: the beats of each record are clustered on their own, and cluster k of one record
    has nothing to do with cluster k of another. null: all beats are clustered together."""


class MarginOptions(Options):
    """Options of all maximum-margin methods: kernel and balance.

    The paper tries C = 1, 10, 100 and 500; its balance bound is not known. On ``iemmc-beats`` (five
    clusters, accuracy of the clustered beats by majority) the bounds 0.3, 0.5, 0.6, 0.7, 0.8 and
    0.9 gave .56, .62, .56, .62, .65 and .57 with C = 1, and .54, .57, .57, .55, .58 and .53 with
    C = 10, one seed each. Seeds differ as much (three with C = 1: .56, .64 and .60 at 0.6, .62, .56
    and .56 at 0.7), so no bound is clearly best. The default, 0.7, lies in the middle: a side of a
    split has at least 15% of its beats. Most splits reach the bound, so a looser bound gives
    smaller clusters.
    """

    C: float = Field(1.0, gt=0)
    """Regularization: a larger C allows a narrower margin; λ = 1/(2C)."""

    width: float | None = Field(None, gt=0)
    """Width of the RBF kernel in standard deviations; the median distance of beats by default."""

    balance: float = Field(0.7, ge=0, le=1)
    """Largest difference between the sides of a split, as a share of its beats: the paper's l."""

    exact_up_to: int = Field(2000, ge=2)
    """Most beats with an exact kernel; for more beats it is approximated (Nyström)."""

    rank: int = Field(300, ge=1)
    """Rank of the approximated kernel."""


class IemmcOptions(MarginOptions, EvolutionOptions):
    """Options of ``iemmc``.

    ``rho``, ``suppression`` and ``newcomers`` were chosen by the objective alone. On the first
    split of ``iemmc-beats``, with labels drawn one by one and as means over five seeds, 2 and 0.05
    reach a J by beat of .0525 with C = 1 and .0155 with C = 100; 4 and 0.005 reach .0538 and .0207.
    The report of the suite ``iemmc`` compares the two kinds of ``newcomers``.
    """

    PROFILES: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {},
        "quick": {"generations": 10},
        "smoke": {"antibodies": 20, "parents": 4, "generations": 3, "rank": 50},
    }

    method: Literal["bisection", "direct"] = "bisection"
    """``bisection`` splits one cluster after another; ``direct`` makes all clusters at once."""

    start: Literal["random", "k-means"] = "random"
    """``k-means`` adds its result to the random first antibodies."""

    newcomers: Newcomers = "functions"
    """Random antibodies: signs of random ``functions``, or ``labels`` drawn one by one."""

    stagnation: int | None = Field(5, ge=1)
    """Generations without a better labeling after which the search ends; null for no limit."""

    precision: Literal["float32", "float64"] = "float32"
    """Precision of the evolution; the result is polished and reported in float64."""

    evolve_beats: int = Field(20_000, ge=10)
    """Most beats that are evolved, drawn at random; functions fitted on them label the others."""

    flips: int = Field(10, ge=0)
    """Most single flips of an antibody after its scan; only with an exact kernel and bisection."""

    polish: bool = True
    """Whether midpoint scans and single flips improve the best antibodies until none helps."""


class IterSvrOptions(MarginOptions):
    """Options of ``itersvr``."""

    PROFILES: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {"rounds": 3, "fit_beats": 300, "rank": 50},
    }

    rounds: int = Field(10, ge=1)
    """Largest number of rounds of regression and relabeling."""

    start: Literal["random", "k-means"] = "random"
    """Labels before the first round."""

    fit_beats: int = Field(2000, ge=10)
    """Largest number of beats that a regression is fitted on, drawn at random."""

    tolerance: float = Field(0.01, gt=0)
    """Tolerance of the stopping criterion of a regression."""


class KMeansOptions(Options):
    """Options of ``k-means``."""

    starts: int = Field(10, ge=1)
    """Number of runs from different centers; the best one is kept."""


class SvmRbfOptions(Options):
    """Options of ``svm-rbf``."""

    C: float = Field(10.0, gt=0)
    """Regularization: a larger C fits the training labels more closely."""

    share: float = Field(0.2, gt=0, le=1)
    """Share of the beats used for training, drawn at random."""

    fit_beats: int = Field(20_000, ge=10)
    """Largest number of beats used for training."""


class ClusteringOptions(Options):
    """Options of the builder ``clustering``."""

    landmarks: int = Field(500, ge=1)
    """Number of clustered beats that a new beat is compared with."""


class ClusteringEvaluatorOptions(Options):
    """Options of the evaluator ``clustering``."""

    C: float = Field(10.0, gt=0)
    """Regularization of the functions that assign new beats to clusters."""
