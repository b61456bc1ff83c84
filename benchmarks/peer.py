"""LAVIS's ALBEF (salesforce-lavis 1.0.2), made to run beside today's libraries, unchanged.

Its wheel is unpacked somewhere (`pip download --no-deps salesforce-lavis==1.0.2`, then unzip) and
LAVIS_DIR names the folder. Only the modules that its `albef_pretrain` needs are loaded. Packages
that these merely mention are stood in for, and what transformers has moved or dropped since is put
where LAVIS looks for it.
"""

import importlib
import importlib.util
import os
import sys
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch._C._distributed_c10d import HashStore
from transformers import BertConfig, PreTrainedModel, modeling_utils, pytorch_utils

from benchmarks.sizes import CLASS, MASK, VOCABULARY, StepSize

FOLDER = "LAVIS_DIR"
MENTIONED = (
    *("pandas", "omegaconf", "iopath", "iopath.common", "iopath.common.download"),
    *("iopath.common.file_io", "fairscale", "fairscale.nn", "fairscale.nn.checkpoint"),
    "fairscale.nn.checkpoint.checkpoint_activations",
)
"""Packages that LAVIS imports and this step does not use."""
MOVED = ("apply_chunking_to_forward", "find_pruneable_heads_and_indices", "prune_linear_layer")


class StandIn(ModuleType):
    """A module that has whatever is asked of it, and does nothing."""

    __path__: list[str] = []  # noqa: RUF012 (as packages have it)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        """Give something that can be named and called."""
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **options: None  # noqa: ARG005


class Ready:
    """A tokenizer that gives the tokens it was made with: tokenising is not timed.

    Args:
        input_ids: (B, L).
        mask: True on tokens, (B, L).
    """

    pad_token_id, cls_token_id, mask_token_id = 0, CLASS, MASK

    def __init__(self, input_ids: Tensor, mask: Tensor) -> None:
        self.tokens = SimpleNamespace(input_ids=input_ids, attention_mask=mask.long())
        self.tokens.to = lambda device: self.tokens  # noqa: ARG005 (they are there)

    def __call__(self, *texts: object, **options: object) -> SimpleNamespace:  # noqa: ARG002
        """Give the tokens, whatever the texts."""
        return self.tokens


def where() -> Path | None:
    """Where LAVIS lies, if LAVIS_DIR says so."""
    folder = os.environ.get(FOLDER)
    return Path(folder) if folder else None


def build(size: StepSize, folder: Path, tokens: Ready) -> nn.Module:
    """Build LAVIS's ALBEF for pretraining, with random weights.

    Args:
        size: of the model; its texts are padded to `size.tokens`.
        folder: where LAVIS lies.
        tokens: what its tokenizer gives.
    """
    _prepare(folder)
    albef = importlib.import_module("lavis.models.albef_models.albef_pretrain")
    med = importlib.import_module("lavis.models.med")
    vit = importlib.import_module("lavis.models.vit")
    image = vit.VisionTransformerEncoder(
        img_size=size.image,
        patch_size=16,
        embed_dim=size.width,
        depth=size.layers,
        num_heads=size.heads,
        qkv_bias=True,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
    )
    image.vision_width = size.width
    own: Any = {"fusion_layer": size.text_layers, "encoder_width": size.width}
    own["add_type_embeddings"] = False
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=size.width,
        intermediate_size=4 * size.width,
        num_attention_heads=size.heads,
        num_hidden_layers=size.text_layers + size.fusion_layers,
        layer_norm_eps=1e-12,
        add_cross_attention=True,
        **own,
    )
    albef.AlbefPretrain.init_tokenizer = classmethod(lambda cls: tokens)  # noqa: ARG005
    model = albef.AlbefPretrain(
        image, med.BertForMaskedLM(config), size.queue, size.embed, max_txt_len=size.tokens
    )
    trained: nn.Module = model.train()
    return trained


def optimizer(model: nn.Module) -> torch.optim.Optimizer:
    """AdamW as LAVIS's runner makes it: matrices decay, and no kernel is asked for."""
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            plain = parameter.ndim < 2 or any(part in name for part in ("bias", "ln", "bn"))
            (others if plain else matrices).append(parameter)
    groups = [{"params": matrices, "weight_decay": 0.02}, {"params": others, "weight_decay": 0}]
    return torch.optim.AdamW(groups, lr=1e-4, weight_decay=0.02, betas=(0.9, 0.999))


def _prepare(folder: Path) -> None:
    """Let LAVIS be imported, and give it the process group that its queue asks for."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    roots = {name.partition(".")[0] for name in MENTIONED} - set(sys.modules)
    absent = {root for root in roots if importlib.util.find_spec(root) is None}
    for name in MENTIONED:
        if name.partition(".")[0] in absent:
            sys.modules[name] = StandIn(name)
    # Their own __init__ would load every model of LAVIS.
    for name in ("lavis", "lavis.common", "lavis.models"):
        package = ModuleType(name)
        package.__path__ = [str(folder.joinpath(*name.split(".")))]
        sys.modules.setdefault(name, package)
    np.__dict__.setdefault("Inf", np.inf)
    _mend_transformers()
    base = importlib.import_module("lavis.models.base_model")
    sys.modules["lavis.models"].__dict__["BaseModel"] = base.BaseModel
    if not dist.is_initialized():
        dist.init_process_group("gloo", store=HashStore(), rank=0, world_size=1)


def _mend_transformers() -> None:
    """Put back what LAVIS's BERT takes from transformers 4."""
    for name in MOVED:
        modeling_utils.__dict__.setdefault(name, getattr(pytorch_utils, name, None))
    if "transformers.file_utils" not in sys.modules:
        files = StandIn("transformers.file_utils")
        files.__dict__["ModelOutput"] = importlib.import_module("transformers.utils").ModelOutput
        sys.modules["transformers.file_utils"] = files
    model: Any = PreTrainedModel
    if hasattr(model, "get_head_mask"):  # transformers 4
        return
    model.get_head_mask = lambda self, mask, layers: [None] * layers  # noqa: ARG005
    model.init_weights = _init_weights
    if not hasattr(model, "invert_attention_mask"):
        model.invert_attention_mask = _invert


def _init_weights(model: Any) -> None:  # noqa: ANN401
    """Draw weights and tie the word head to the table, as transformers 4 did."""
    model.apply(model._init_weights)
    if hasattr(model, "cls"):
        model.cls.predictions.decoder.weight = model.bert.embeddings.word_embeddings.weight


def _invert(model: Any, mask: Tensor) -> Tensor:  # noqa: ANN401, ARG001
    """0 where a key may be read, next to minus infinity elsewhere: (B, N) to (B, 1, 1, N)."""
    return (1.0 - mask[:, None, None].float()) * torch.finfo(torch.float32).min
