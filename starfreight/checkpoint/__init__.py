"""Read a base model's directory in Hugging Face layout, as untrusted input.

    checkpoint = open_checkpoint(Path("starcoder2-3b"))
    checkpoint.shape.layers                       # 30
    tokenizer = check_tokenizer(checkpoint.folder, checkpoint.architecture)
    with TensorReader() as reader:
        rows = reader.rows(checkpoint.tensors["model.norm.weight"], 0, 1)

Nothing here needs torch, and nothing here unpickles.
"""

from starfreight.checkpoint.added_tokens import AddedToken
from starfreight.checkpoint.config import read_config
from starfreight.checkpoint.files import checkpoint_files
from starfreight.checkpoint.layout import ModelShape
from starfreight.checkpoint.model import Checkpoint, open_checkpoint
from starfreight.checkpoint.safetensors import StoredTensor, TensorReader, read_header
from starfreight.checkpoint.streamed_base import StreamedBase, StreamedWeights, folder_of
from starfreight.checkpoint.tokenizer import Tokenizer, check_tokenizer, check_vocabulary, read_tokenizer

__all__ = [
    "AddedToken",
    "Checkpoint",
    "ModelShape",
    "StoredTensor",
    "StreamedBase",
    "StreamedWeights",
    "TensorReader",
    "Tokenizer",
    "check_tokenizer",
    "check_vocabulary",
    "checkpoint_files",
    "folder_of",
    "open_checkpoint",
    "read_config",
    "read_header",
    "read_tokenizer",
]
