"""Models and their tokenizers: the files and settings of their jobs."""

from pathlib import Path
from typing import Any

from lingualift.configuration.models import OPERATIONAL
from lingualift.planning.base import Lookups, plain


class ModelPlan(Lookups):
    """What a model is made from."""

    def tokenizer_owner(self, name: str) -> str:
        """The base at the root of a model: its tokenizer is that of the whole chain."""
        model = self.configuration.models[name]
        return self.tokenizer_owner(model.from_) if model.from_ else name

    def tokenizer_folder(self, name: str) -> str:
        """Where the tokenizer of a model is, seen from the folder of the run; absolute for a base from outside."""
        owner = self.tokenizer_owner(name)
        return f"tokenizers/{owner}" if self.configuration.models[owner].scratch else self.model_folder(owner)

    def tokenizer_mixture(self, name: str) -> str:
        """The mixture that a scratch model's tokenizer learns from."""
        model = self.configuration.models[name]
        assert model.scratch is not None and model.pretrain is not None
        return model.scratch.tokenizer_mixture or model.pretrain.mixture

    def scratch_models(self) -> list[str]:
        return [name for name, model in self.configuration.models.items() if model.scratch]

    def trained_models(self) -> list[str]:
        return [name for name, model in self.configuration.models.items() if model.stage]

    def model_folder(self, name: str) -> str:
        model = self.configuration.models[name]
        return str((self.run.data / model.path).resolve()) if model.path is not None else f"models/{name}"

    def weights_mb(self, name: str) -> int:
        """The most memory that a model's weights fill in float32, MB; 0 where its base is not there to tell.

        A base's files hold 16 bits a weight, as a rule; small models from scratch need not be counted.
        """
        base = self.tokenizer_owner(name)
        owner = self.configuration.models[base]
        if owner.scratch is not None:
            return 0
        # What is fetched lies in the folder of the run, under the folder that Snakemake runs in.
        root = self.run.data if owner.path is not None else Path("results") / self.configuration.run
        folder = root / (owner.path or self.model_folder(base))
        return 2 * sum(file.stat().st_size for file in folder.glob("*.safetensors")) // 2**20

    def model_inputs(self, name: str) -> dict[str, Any]:
        """The packed mixture, the tokenizer and the base that a model is trained from."""
        model = self.configuration.models[name]
        assert model.stage is not None
        inputs = {
            "blocks": f"mixtures/{model.stage.mixture}/packed/{self.tokenizer_owner(name)}",
            "tokenizer": self.tokenizer_folder(name),
        }
        if model.from_ is not None:
            inputs["base"] = self.model_folder(model.from_)
        return inputs

    def model_settings(self, name: str) -> dict[str, Any]:
        """What a model is made by; how its training is run is read from the configuration by the job itself."""
        model = self.configuration.models[name]
        assert model.stage is not None
        recipe = plain(self.configuration.recipes[model.stage.recipe])
        return {
            "model": name,
            "stage": model.stage_kind,
            "base": model.from_,
            "mixture": model.stage.mixture,
            "languages": self.languages,
            "scratch": plain(model.scratch) if model.scratch else None,
            "recipe": {key: value for key, value in recipe.items() if key not in OPERATIONAL},
        }

    def training_resources(self, name: str, *, gpus: bool) -> dict[str, Any]:
        """What a training asks of SLURM's plugin beside memory and time, from its recipe's nodes and devices.

        On one node nothing but its GPUs: the job is then wrapped in ``srun`` by the plugin. On several, the training
        calls ``srun`` itself, once a node (``mpi`` says so), and GPUs are asked for by ``gres``: ``gpu`` and ``tasks``
        together give flags that contradict each other.

        Args:
            gpus: whether jobs ask for GPUs at all.
        """
        model = self.configuration.models[name]
        assert model.stage is not None
        recipe = self.configuration.recipes[model.stage.recipe]
        if recipe.nodes == 1:
            return {"gpu": recipe.devices if gpus else 0}
        several: dict[str, Any] = {"mpi": "srun", "tasks": recipe.nodes, "slurm_extra": "--ntasks-per-node=1"}
        return several | ({"gres": f"gpu:{recipe.devices}", "tasks_per_gpu": 0} if gpus else {})
