"""Optuna's optimizers as searches of any space with parameters; needs the extra ``optuna``."""

from collections.abc import Iterable

from nasbench_ecg.api import StrategySpec, hookimpl

PLUGIN_API_VERSION = "1.0"


@hookimpl
def nasbench_ecg_strategies() -> Iterable[StrategySpec]:
    """Yield ``tpe``, ``gp``, ``cma-es``, ``nsga-ii``, ``nsga-iii`` and ``bohb``."""
    yield StrategySpec(
        name="tpe",
        target="nasbench_ecg_optuna.tpe:Tpe",
        options="nasbench_ecg_optuna.options:TpeOptions",
        space="conv-cells",
        needs_encoding=True,
        anytime=True,
        summary="Tree-structured Parzen estimator of Optuna (Bergstra et al. 2011)",
    )
    yield StrategySpec(
        name="gp",
        target="nasbench_ecg_optuna.gp:Gp",
        options="nasbench_ecg_optuna.options:GpOptions",
        space="conv-cells",
        needs_encoding=True,
        anytime=True,
        summary="Bayesian optimization with Gaussian processes of Optuna (Snoek et al. 2012)",
    )
    yield StrategySpec(
        name="cma-es",
        target="nasbench_ecg_optuna.cma_es:CmaEs",
        options="nasbench_ecg_optuna.options:CmaEsOptions",
        space="conv-cells",
        needs_encoding=True,
        anytime=True,
        summary="Evolves a normal distribution over scores of choices (Hansen & Ostermeier 2001)",
    )
    yield StrategySpec(
        name="nsga-ii",
        target="nasbench_ecg_optuna.nsga:NsgaII",
        options="nasbench_ecg_optuna.options:NsgaIIOptions",
        space="conv-cells",
        needs_encoding=True,
        anytime=True,
        summary="NSGA-II of Optuna on the parameters of a space (Deb et al. 2002)",
    )
    yield StrategySpec(
        name="nsga-iii",
        target="nasbench_ecg_optuna.nsga:NsgaIII",
        options="nasbench_ecg_optuna.options:NsgaIIIOptions",
        space="conv-cells",
        needs_encoding=True,
        anytime=True,
        summary="NSGA-III of Optuna, for three objectives or more (Deb & Jain 2014)",
    )
    yield StrategySpec(
        name="bohb",
        target="nasbench_ecg_optuna.bohb:Bohb",
        options="nasbench_ecg_optuna.options:BohbOptions",
        space="conv-cells",
        needs_encoding=True,
        anytime=True,
        summary="Hyperband with candidates that a TPE model proposes (Falkner et al. 2018)",
    )
