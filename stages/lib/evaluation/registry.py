"""The models of the pipeline: the files they are named by, what they are called, and which of them are compared."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class RegisteredModel:
    """A model that a stage trains and the evaluate stage scores.

    Attributes:
        name: the stem of its files: data/predictions/NAME.parquet, metrics/NAME.json and, of a network, models/NAME.
        label: what tables and legends call it.
        phrase: what a sentence calls it.
        kind: a network is trained in epochs and saved in models/NAME, a baseline is what networks have to beat, and the
            blend is made of others.
    """

    name: str
    label: str
    phrase: str
    kind: Literal["network", "baseline", "blend"]

    @property
    def is_network(self) -> bool:
        return self.kind == "network"


MODELS = (
    RegisteredModel("base", "study's network", "the study's network", kind="network"),
    RegisteredModel("grid", "grid search", "the best network of the grid search", kind="network"),
    RegisteredModel("smote", "network with SMOTE", "the network with SMOTE", kind="network"),
    RegisteredModel("strong", "strong network", "the strong network", kind="network"),
    RegisteredModel("logistic", "logistic regression", "logistic regression", kind="baseline"),
    RegisteredModel("trees", "boosted trees", "boosted trees", kind="baseline"),
    RegisteredModel("blend", "blend", "the blend", kind="blend"),
)

BLENDED = ("strong", "trees")  # what the blend is made of

# Pairs of a model and the one it is compared to: all to the study's network, the strong network to its rivals, and the
# blend to its parts.
COMPARISONS = (
    *((model.name, "base") for model in MODELS if model.name != "base"),
    ("strong", "grid"),
    *(("strong", model.name) for model in MODELS if model.kind == "baseline"),
    *(("blend", name) for name in BLENDED),
)
