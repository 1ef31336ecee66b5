"""Models and their tokenizers: the files and settings of their jobs."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from lingualift.configuration.models import OPERATIONAL, Recipe
from lingualift.errors import LingualiftError
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

    def offloaded_mb(self, name: str, *, ranks: int) -> int:
        """What each rank of a training holds in the memory of the host instead of a GPU's, MB, as far as is known.

        Nothing of adapters, which are small.
        """
        from lingualift.estimates.memory import offloaded

        model = self.configuration.models[name]
        assert model.stage is not None
        recipe = self.configuration.recipes[model.stage.recipe]
        weights = self.weights_mb(name) * 2**20 // 4
        trained = 0 if recipe.lora else weights
        return offloaded(recipe, whole=weights, trained=trained, ranks=ranks, width=4) // 2**20

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
        recipe = plain(entry := self.configuration.recipes[model.stage.recipe])
        if entry.evaluation is not None:
            # Also at its default: a model of a former version, which held out all of the share, is another one.
            recipe["evaluation"]["blocks"] = entry.evaluation.blocks
        return {
            "model": name,
            "stage": model.stage_kind,
            "base": model.from_,
            "mixture": model.stage.mixture,
            "languages": self.languages,
            "scratch": plain(model.scratch) if model.scratch else None,
            "recipe": {key: value for key, value in recipe.items() if key not in OPERATIONAL},
        }

    def spread(self, name: str, *, given: Mapping[str, Any] = MappingProxyType({})) -> tuple[int, int]:
        """The nodes of a training, and the GPUs (without any, processes) of each: the profile's, else its recipe's.

        Args:
            given: what the profile sets for trainings: ``nodes``, ``devices``.

        Raises:
            LingualiftError: not a whole number.
        """
        recipe = self._recipe(name)
        for key in ("nodes", "devices"):
            if not str(given.get(key, 1)).isdecimal():
                raise LingualiftError(f"train_model: {key} ({given[key]}) in the profile is not a whole number")
        return int(given.get("nodes", recipe.nodes)), int(given.get("devices", recipe.devices))

    def check_spread(self, name: str, *, gpus: int, given: Mapping[str, Any] = MappingProxyType({})) -> None:
        """Check that a training goes with its nodes and devices, and that the run holds as many GPUs as they have.

        Of GPUs Snakemake would else give it those that there are.

        Args:
            gpus: how many the run may hold; 0 where jobs ask for none.
            given: what the profile sets for trainings.

        Raises:
            LingualiftError: its recipe cannot be spread over so many, or there are fewer.
        """
        recipe, (nodes, devices) = self._recipe(name), self.spread(name, given=given)
        try:
            Recipe.model_validate(recipe.model_dump(by_alias=True) | {"nodes": nodes, "devices": devices})
        except ValidationError as error:
            why = "; ".join(it["msg"].removeprefix("Value error, ") for it in error.errors())
            raise LingualiftError(f"{name}: {nodes} node(s) with {devices} device(s) by the profile: {why}") from None
        if "gres" not in given and 0 < gpus < nodes * devices:
            raise LingualiftError(
                f"{name} trains on {nodes * devices} GPUs (nodes {nodes} x devices {devices}), the run may hold {gpus}: "
                f"`resources: [gpu={nodes * devices}]` in the profile, or fewer `nodes` and `devices` of train_model there"
            )

    def _recipe(self, name: str) -> Recipe:
        model = self.configuration.models[name]
        assert model.stage is not None
        return self.configuration.recipes[model.stage.recipe]

    def training_resources(
        self, name: str, *, gpus: bool, given: Mapping[str, Any] = MappingProxyType({})
    ) -> dict[str, Any]:
        """What a training asks of SLURM's plugin beside memory and time, from its nodes and devices (:meth:`spread`).

        ``gpu`` counts all its GPUs, of all nodes: the run holds no more of them than the profile allows. On one node
        that is all: the job is then wrapped in ``srun`` by the plugin. On several, the training calls ``srun`` itself,
        once a node (``mpi`` says so), and the GPUs of a node are asked for beside, by the same type: SLURM refuses
        typed and untyped ones in one job. SLURM's own output is written on, not over, where the job is started again.

        Args:
            gpus: whether jobs ask for GPUs at all.
            given: what the profile sets for trainings: ``nodes`` and ``devices``; ``gpu_model``, the type; or ``gres``,
                in place of all of this, for clusters that know nothing else.

        Raises:
            LingualiftError: both ``gpu_model`` and ``gres``, or a type of GPUs and no GPUs.
        """
        nodes, devices = self.spread(name, given=given)
        kind, gres = given.get("gpu_model"), given.get("gres")
        if kind and gres:
            raise LingualiftError(f"train_model: gpu_model ({kind}) or gres ({gres}) in the profile, not both")
        if kind and not gpus:
            raise LingualiftError(
                f"train_model: gpu_model ({kind}) in the profile and no GPUs: `resources: [gpu=8]` says how many the run "
                "may hold"
            )
        asked: dict[str, Any] = {"slurm_extra": "--open-mode=append"}
        if nodes > 1:
            each = f" --gpus-per-node={kind + ':' if kind else ''}{devices}" if gpus and not gres else ""
            asked["slurm_extra"] += f" --ntasks-per-node=1{each}"
            asked |= {"mpi": "srun", "tasks": nodes}
            if gpus:
                # None: `tasks` would else be taken for tasks of a GPU.
                asked["tasks_per_gpu"] = 0
        return asked | ({} if gres else {"gpu": nodes * devices if gpus else 0})
