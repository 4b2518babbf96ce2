"""The models of the pipeline: the files they are named by, what they are called, and which of them are compared."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RegisteredModel:
    """A model that a stage trains and the evaluate stage scores.

    Attributes:
        name: the stem of its files: data/predictions/NAME.parquet, metrics/NAME.json and, of a network, models/NAME.
        label: what tables and legends call it.
        phrase: what a sentence calls it.
        is_network: whether it is trained in epochs and saved in models/NAME.
    """

    name: str
    label: str
    phrase: str
    is_network: bool


MODELS = (
    RegisteredModel("base", "study's network", "the study's network", is_network=True),
    RegisteredModel("grid", "grid search", "the best network of the grid search", is_network=True),
    RegisteredModel("smote", "network with SMOTE", "the network with SMOTE", is_network=True),
    RegisteredModel("strong", "strong network", "the strong network", is_network=True),
    RegisteredModel("logistic", "logistic regression", "logistic regression", is_network=False),
    RegisteredModel("trees", "boosted trees", "boosted trees", is_network=False),
)

# Pairs of a model and the one it is compared to: all to the study's network, and the strong network to its rivals.
COMPARISONS = (
    *((model.name, "base") for model in MODELS if model.name != "base"),
    ("strong", "grid"),
    *(("strong", model.name) for model in MODELS if not model.is_network),
)
