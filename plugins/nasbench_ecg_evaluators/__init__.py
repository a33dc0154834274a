"""Evaluators: training from scratch, zero-cost proxies, and costs."""

from collections.abc import Iterable

from nasbench_ecg.api import EvaluatorSpec, hookimpl

PLUGIN_API_VERSION = "1.0"

_PROXIES = {
    "synflow": ("proxies:Synflow", "Synaptic flow at initialization (Tanaka et al. 2020)"),
    "naswot": ("proxies:Naswot", "Difference of ReLU states between beats (Mellor et al. 2021)"),
    "jacob-cov": ("proxies:JacobCov", "Correlation of the Jacobians of beats (Mellor et al. 2020)"),
    "grad-norm": ("proxies:GradNorm", "Gradient norm at initialization (Abdelfattah et al. 2021)"),
    "snip": ("proxies:Snip", "Saliency of the weights at initialization (Lee et al. 2019)"),
}
_COUNTS = {
    "parameters": ("costs:Parameters", "Number of trainable parameters"),
    "flops": ("costs:Flops", "Floating-point operations of one beat, two per multiply-accumulate"),
}


@hookimpl
def nasbench_ecg_evaluators() -> Iterable[EvaluatorSpec]:
    """Yield ``train``, the zero-cost proxies, and the costs."""
    yield EvaluatorSpec(
        name="train",
        target="nasbench_ecg_evaluators.train:Train",
        options="nasbench_ecg_evaluators.options:TrainOptions",
        summary="Trains the network from scratch and scores the last epoch",
        score="f1_of_macro",
    )
    for options, specs in (("ProxyOptions", _PROXIES), ("CountOptions", _COUNTS)):
        for name, (target, summary) in specs.items():
            yield EvaluatorSpec(
                name=name,
                target=f"nasbench_ecg_evaluators.{target}",
                options=f"nasbench_ecg_evaluators.options:{options}",
                summary=summary,
            )
    yield EvaluatorSpec(
        name="latency",
        target="nasbench_ecg_evaluators.costs:Latency",
        options="nasbench_ecg_evaluators.options:LatencyOptions",
        summary="Latency of one beat and of a batch on the run's device, in float32",
    )
