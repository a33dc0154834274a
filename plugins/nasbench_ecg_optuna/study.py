"""The loop of all searches with Optuna: ask for candidates, evaluate them, tell their scores.

A search depends on its options, its seed and the scores alone. When it is resumed, it runs again
from its beginning with the evaluations that the harness has stored, so no study has to be kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Any

from nasbench_ecg.api import (
    Architecture,
    Builder,
    Encodes,
    Fidelity,
    OptionError,
    Parameter,
    SearchContext,
    SearchResult,
    SearchSpace,
    Task,
    canonical_json,
)
from nasbench_ecg.training import CostName, network_costs
from nasbench_ecg_blackbox.history import EvaluationHistory, seconds_of_search
from nasbench_ecg_blackbox.limits import SizeLimit
from nasbench_ecg_blackbox.nsga2 import front, member, table
from nasbench_ecg_optuna.encoders import Direct, Encoder, Suggests
from nasbench_ecg_optuna.options import StudyOptions
from nasbench_ecg_optuna.studies import quiet_optuna, study_in_database, study_in_memory

if TYPE_CHECKING:
    from optuna import Study
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.trial import Trial

MAX_PROPOSALS = 20
"""Consecutive proposals that are known or too large, after which a random candidate follows."""

SamplerFactory = Callable[[int, Sequence[Parameter]], "BaseSampler"]
"""Returns a sampler of Optuna for a seed and the parameters of the space."""


def encoded(space: SearchSpace, strategy: str) -> Encodes:
    """Return ``space``, which must have parameters for ``strategy``.

    Raises:
        OptionError: It has none.
    """
    if not isinstance(space, Encodes):
        raise OptionError(
            f"The space {space.name!r} has no parameters, which {strategy!r} searches.",
            fix="Choose another strategy or space, or give the space the methods parameters, "
            "encode and decode (nasbench_ecg.api.Encodes).",
        )
    return space


@dataclass
class OptunaSearch:
    """A search by a sampler of Optuna.

    Attributes:
        name: Name of the strategy.
        options: Its options.
        sampler: Creates the sampler.
        objectives: Costs that are minimized while the score is maximized.
        batch: Candidates proposed at a time.
        encoder: How the parameters of the space become those of a trial.
        learns_from_rejected: Whether the sampler models the size limit and therefore must be told
            of rejected candidates, with the worst score so far.
        uses_constraints: Whether the sampler can use constraints.
        rungs: Fidelities at which candidates are evaluated one after the other; none: that of the
            options.
        pruner: Creates the pruner, which may stop a candidate after each rung but the last.
    """

    name: str
    options: StudyOptions
    sampler: SamplerFactory
    objectives: Sequence[CostName] = ()
    batch: int = 1
    encoder: Encoder = field(default_factory=Direct)
    learns_from_rejected: bool = False
    uses_constraints: bool = True
    rungs: Sequence[Fidelity] = ()
    pruner: Callable[[], BasePruner] | None = None

    @property
    def fidelities(self) -> list[Fidelity]:
        """Fidelities of a candidate, the last one that of the search."""
        return list(self.rungs) or [Fidelity(self.options.epochs, self.options.beats)]

    def search(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> SearchResult:
        """Return the best architecture; with several objectives, that of the front.

        Raises:
            OptionError: The space has no parameters, no architecture is within the size limit, or
                the storage cannot be opened.
        """
        options = self.options
        limit = SizeLimit.of(options, task, builder, ctx.progress)
        with (
            quiet_optuna(),
            ctx.progress.track("Searching", options.models) as bar,
        ):
            history = EvaluationHistory(ctx, bar.advance)
            run = _Run(self, task, space, builder, ctx, history, limit)
            while (left := options.models - run.n_candidates) > 0 and not history.budget_spent:
                proposals = run.ask_many(min(self.batch, left))
                if not run.evaluate(proposals) or run.exhausted:
                    break
        best = history.best_of_longest
        if best is None:
            return SearchResult(limit.sample(space, ctx.rng), limit.details)
        details: dict[str, Any] = {"evaluations": history.to_rows(), **limit.details}
        if not self.objectives:
            return SearchResult(best, details)
        members = [
            member(e.architecture, e.score, run.objectives_of(e.architecture))
            for e in history.evaluations.values()
        ]
        pareto = front(members)
        details |= {"objectives": ["score", *self.objectives], "front": table(pareto)}
        return SearchResult(pareto[0].architecture, details)

    def estimate(
        self, task: Task, space: SearchSpace, builder: Builder, ctx: SearchContext
    ) -> float | None:
        """Return the estimated seconds of a search; None if the evaluator has no estimate."""
        options = self.options
        plan = [(options.models, Fidelity(epochs=options.epochs, beats=options.beats))]
        limit = SizeLimit.of(options, task, builder)
        return seconds_of_search(plan, space, ctx, limit, batch=self.batch)


@dataclass(frozen=True)
class Proposal:
    """A trial of Optuna and the architecture that it suggests."""

    trial: Trial
    architecture: Architecture


class _Run:
    """One run of a search: a study, and the evaluations told to it."""

    def __init__(
        self,
        search: OptunaSearch,
        task: Task,
        space: SearchSpace,
        builder: Builder,
        ctx: SearchContext,
        history: EvaluationHistory,
        limit: SizeLimit,
    ) -> None:
        self.encodes = encoded(space, search.name)
        self.search, self.task, self.builder = search, task, builder
        self.space = space
        self.rng, self.device, self.key = ctx.rng, ctx.device, ctx.key
        self.history, self.limit = history, limit
        self.parameters = tuple(self.encodes.parameters())
        self.random = limit.distinct(space, ctx.rng, space.size)
        self.fidelities = search.fidelities
        self.pruned: dict[str, float] = {}
        self.costs: dict[str, dict[str, float]] = {}
        self.unproductive, self.exhausted = 0, False
        self.seed = int(ctx.rng.integers(2**32))
        self.study: Study = self._create_study()

    # Proposals

    def ask_many(self, n: int) -> list[Proposal]:
        """Ask Optuna for ``n`` candidates; return those that are not evaluated yet.

        Known candidates are told their score again, and candidates above the size limit that they
        are rejected; the latter are asked for again. After too many of both, the next candidate
        is random. None is returned for it if the space seems to contain no new architecture.
        """
        proposals = []
        while n > 0 and not self.exhausted:
            if self.unproductive >= MAX_PROPOSALS or not self.parameters:
                proposal = self._random_proposal()
                self.exhausted = proposal is None
            else:
                proposal = self._proposal()
            if proposal is None:
                continue
            n -= 1
            if proposal.architecture.hash in self.pruned:
                self.unproductive += 1
                self._tell_pruned(proposal)
            elif (score := self._known_score(proposal.architecture)) is not None:
                self.unproductive += 1
                self._tell(proposal, score)
            else:
                self.unproductive = 0
                proposals.append(proposal)
        return proposals

    def _proposal(self) -> Proposal | None:
        """Return the next candidate of the sampler; None if it was rejected for its size."""
        trial = self.study.ask()
        values = self.search.encoder.suggest(self._suggesting(trial), self.parameters)
        proposal = self._describe(trial, self.encodes.decode(values))
        if self._excess(proposal.architecture) <= 0:
            return proposal
        self.unproductive += 1
        self._tell_rejected(proposal)
        return None

    def _suggesting(self, trial: Trial) -> Suggests:
        """Return what suggests the values of a trial; in memory, it copies nothing."""
        if self.search.options.storage is not None:
            return trial
        from nasbench_ecg_optuna.storage import QuickTrial

        return QuickTrial(self.study, trial)

    def _random_proposal(self) -> Proposal | None:
        """Return a new random candidate within the limit; None if there seems to be none."""
        try:
            arch = next(filter(self._is_new, self.random), None)
        except OptionError:
            if not self.history.evaluations:
                raise
            arch = None
        if arch is None:
            if self.history.evaluations:
                return None
            arch = self.limit.sample(self.space, self.rng)
        values = self.encodes.encode(arch)
        self.study.enqueue_trial(self.search.encoder.fixed(self.parameters, values))
        trial = self.study.ask()
        suggested = self.search.encoder.suggest(trial, self.parameters)
        return self._describe(trial, self.encodes.decode(suggested))

    def _is_new(self, arch: Architecture) -> bool:
        return self._known_score(arch) is None and arch.hash not in self.pruned

    def _describe(self, trial: Trial, arch: Architecture) -> Proposal:
        trial.set_user_attr("architecture", arch.hash)
        trial.set_user_attr("genotype", arch.genotype)
        if self.search.uses_constraints:
            for name, excess in self.limit.excess(arch).items():
                trial.set_constraint(f"max_{name}", excess)
        return Proposal(trial, arch)

    # Evaluations

    @property
    def n_candidates(self) -> int:
        """Number of different architectures evaluated so far."""
        return len({key for key, _ in self.history.evaluations})

    def evaluate(self, proposals: Sequence[Proposal]) -> bool:
        """Evaluate proposals and tell their scores; return whether the budget allowed all."""
        from optuna.trial import TrialState

        figures = {p.architecture.hash: self.objectives_of(p.architecture) for p in proposals}
        for fidelity in self.fidelities:
            architectures = [proposal.architecture for proposal in proposals]
            scores = self.history.score_all(architectures, fidelity, figures)
            unscored = proposals[len(scores) :]
            scored = list(zip(proposals, scores, strict=False))
            if fidelity == self.fidelities[-1]:
                for proposal, score in scored:
                    self._tell(proposal, score)
            proposals = [p for p, score in scored if self._goes_on(p, score, fidelity)]
            if unscored:
                for proposal in (*unscored, *proposals):
                    self.study.tell(proposal.trial, state=TrialState.FAIL)
                return False
        return True

    def _goes_on(self, proposal: Proposal, score: float, fidelity: Fidelity) -> bool:
        """Report the score of a rung; return whether the pruner lets the candidate go on."""
        if fidelity == self.fidelities[-1]:
            return False
        if isfinite(score):
            proposal.trial.report(score, fidelity.epochs or 0)
            if not proposal.trial.should_prune():
                return True
        self.pruned[proposal.architecture.hash] = score
        self._tell_pruned(proposal)
        return False

    def _tell_pruned(self, proposal: Proposal) -> None:
        from optuna.trial import TrialState

        self.study.tell(proposal.trial, state=TrialState.PRUNED)

    def _tell(self, proposal: Proposal, score: float) -> None:
        from optuna.trial import TrialState

        if not isfinite(score):
            self.study.tell(proposal.trial, state=TrialState.FAIL)
            return
        costs = self.objectives_of(proposal.architecture)
        self.study.tell(proposal.trial, [score, *costs.values()])

    def _tell_rejected(self, proposal: Proposal) -> None:
        from optuna.trial import TrialState

        known = [evaluation.score for evaluation in self.history.evaluations.values()]
        scores = [score for score in known if isfinite(score)]
        if self.search.learns_from_rejected and scores:
            proposal.trial.set_user_attr("rejected", True)
            self._tell(proposal, min(scores))
        else:
            self.study.tell(proposal.trial, state=TrialState.PRUNED)

    def _known_score(self, arch: Architecture) -> float | None:
        known = self.history.evaluations.get((arch.hash, self.fidelities[-1]))
        return None if known is None else known.score

    # Costs

    def objectives_of(self, arch: Architecture) -> dict[str, float]:
        """Return the costs of ``arch`` that are objectives; they are measured once."""
        names = self.search.objectives
        if names and arch.hash not in self.costs:
            self.costs[arch.hash] = network_costs(
                arch, self.task, self.builder, device=self.device, names=names
            )
        return self.costs.get(arch.hash, {})

    def _excess(self, arch: Architecture) -> float:
        """Return by how much the network of ``arch`` exceeds the limits; zero or less if none."""
        return max(self.limit.excess(arch).values(), default=0.0)

    # The study

    def _create_study(self) -> Study:
        import optuna

        sampler = self.search.sampler(self.seed, self.parameters)
        pruner = None if self.search.pruner is None else self.search.pruner()
        directions = [
            optuna.study.StudyDirection.MAXIMIZE,
            *(optuna.study.StudyDirection.MINIMIZE for _ in self.search.objectives),
        ]
        url = self.search.options.storage
        if url is None:
            return study_in_memory(sampler=sampler, pruner=pruner, directions=directions)
        study = study_in_database(
            url, self._study_name(), sampler=sampler, pruner=pruner, directions=directions
        )
        study.set_metric_names(["score", *self.search.objectives])
        return study

    def _study_name(self) -> str:
        """Return a name that only an equal search has: strategy, space and digest."""
        identity: Mapping[str, Any] = {
            "run": self.key,
            "options": self.search.options.model_dump(mode="json", exclude={"storage"}),
            "parameters": [repr(parameter) for parameter in self.parameters],
            "beats": [self.task.train.fingerprint(), self.task.validation.fingerprint()],
            "seed": self.seed,
        }
        digest = hashlib.sha256(canonical_json(identity).encode()).hexdigest()[:8]
        return f"{self.search.name}-{self.space.name}-{digest}"
