"""The press: merge, convert and quantise in one pass.

request = PressRequest(base=Path("starcoder2-3b"), adapter=Path("runs/x/adapter"),
                       quantizations=("Q8_0", "Q4_K_M"), out=Path("out"), name="mine")
for file in press(request, console):
    print(file.path, file.digest)
"""

from starfreight.packager.press.lora import LoraFile, LoraRequest, press_lora
from starfreight.packager.press.metadata import ModelIdentity, Origin
from starfreight.packager.press.press import PressedFile, PressRequest, press
from starfreight.packager.press.sizes import predict_size
from starfreight.quantization import Quantization

__all__ = [
    "LoraFile",
    "LoraRequest",
    "ModelIdentity",
    "Origin",
    "PressRequest",
    "PressedFile",
    "Quantization",
    "predict_size",
    "press",
    "press_lora",
]
