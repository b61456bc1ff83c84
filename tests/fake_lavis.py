"""A LAVIS that has only what the benchmark asks of it, as files of a folder."""

from pathlib import Path

FILES = {
    "models/base_model.py": """
import pandas, omegaconf
from iopath.common.file_io import g_pathmgr
class BaseModel: pass
""",
    "models/med.py": """
from transformers.file_utils import ModelOutput
from transformers.modeling_utils import PreTrainedModel, apply_chunking_to_forward
from torch import nn
class BertForMaskedLM(nn.Module):
    def __init__(self, config):
        super().__init__()
        assert config.fusion_layer < config.num_hidden_layers and not config.add_type_embeddings
        assert PreTrainedModel.get_head_mask(self, None, 3) == [None] * 3
""",
    "models/vit.py": """
from fairscale.nn.checkpoint.checkpoint_activations import checkpoint_wrapper
from torch import nn
class VisionTransformerEncoder(nn.Module):
    def __init__(self, img_size, patch_size, embed_dim, depth, num_heads, qkv_bias, norm_layer):
        super().__init__()
""",
    "models/albef_models/__init__.py": "from lavis.models import BaseModel\n",
    "models/albef_models/albef_pretrain.py": """
import numpy as np, torch, torch.distributed as dist
from types import SimpleNamespace
from torch import nn
class AlbefPretrain(nn.Module):
    def __init__(self, image, text, queue, embed, max_txt_len):
        super().__init__()
        assert image.vision_width and np.Inf and dist.get_world_size() == 1
        self.tokenizer = self.init_tokenizer()
        self.weight, self.length = nn.Parameter(torch.ones(COUNT)), max_txt_len
    def _momentum_update(self):
        torch.ones(1).item()
    def forward(self, samples):
        tokens = self.tokenizer(samples["text_input"], padding="max_length").to("cpu")
        assert tokens.input_ids.shape[1] == self.length == tokens.attention_mask.shape[1]
        assert samples["image"].is_floating_point()
        self._momentum_update()
        return SimpleNamespace(loss=self.weight.sum())
""",
}


def write_lavis(folder: Path, parameters: int) -> Path:
    """Write it, with so many parameters; nothing marks its folders as packages but this."""
    for name, text in FILES.items():
        file = folder / "lavis" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.replace("COUNT", str(parameters)))
    return folder
