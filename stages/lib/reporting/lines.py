"""The lines of the models in each plot, read from the files in metrics/; all but the recommended one are quiet."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stages.lib.evaluation import registry
from stages.lib.evaluation.registry import RegisteredModel
from stages.lib.reporting.curves import Line
from stages.lib.reporting.metrics_files import read_csv


@dataclass(frozen=True)
class Lines:
    """The lines of these models, from the tables in a folder."""

    metrics: Path
    models: Sequence[RegisteredModel]
    recommended: RegisteredModel

    def of_curve(self, name: str, x: str) -> list[Line]:
        """A line a model, from a table with a column for x and one for each model."""
        table = read_csv(self.metrics / f"{name}.csv", [x, *(model.name for model in self.models)])
        return [
            Line(model.label, style_of(model), table[x], table[model.name], is_quiet=self._is_quiet(model))
            for model in self.models
        ]

    def of_calibration(self) -> list[Line]:
        table = read_csv(self.metrics / "calibration.csv", ["model", "predicted", "observed"])
        lines = []
        for model in self.models:
            bins = table[table["model"] == model.name]
            points = bins["predicted"], bins["observed"]
            lines.append(Line(model.label, style_of(model), *points, is_quiet=self._is_quiet(model)))
        return lines

    def of_losses(self) -> list[Line]:
        """Of each network the training loss, and the validation loss if it has one; none of them is quiet."""
        networks = [model for model in self.models if model.is_network]
        table = read_csv(self.metrics / "loss.csv", ["epoch", *(model.name for model in networks)])
        lines = []
        for model in networks:
            for column, label in ((model.name, model.label), (f"{model.name}_val", f"{model.label}, validation")):
                if column in table:
                    epochs = table.dropna(subset=column)
                    is_validation = column != model.name
                    lines.append(Line(label, style_of(model), epochs["epoch"], epochs[column], is_validation))
        return lines

    def _is_quiet(self, model: RegisteredModel) -> bool:
        return model != self.recommended


def style_of(model: RegisteredModel) -> int:
    """The number of the model's style, which does not depend on which other models there are."""
    return registry.MODELS.index(model)
