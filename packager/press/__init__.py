"""The press: merge, convert and quantise in one pass.

request = PressRequest(base=Path("starcoder2-3b"), adapter=Path("runs/x/adapter"),
                       quantizations=("Q8_0", "Q4_K_M"), out=Path("out"), name="mine")
for file in press(request, console):
    print(file.path, file.digest)
"""

from starfreight.packager.press.lora import LoraRequest, press_lora
from starfreight.packager.press.metadata import ModelIdentity, ModelOrigin
from starfreight.packager.press.press import PressRequest, press
from starfreight.packager.press.sizes import predict_size
from starfreight.quantization import Quantization

__all__ = [
    "LoraRequest",
    "ModelIdentity",
    "ModelOrigin",
    "PressRequest",
    "Quantization",
    "predict_size",
    "press",
    "press_lora",
]
