#!/usr/bin/env python3
"""Decodes with bundles on other ONNX runtimes: check_runtimes.py BUNDLE...

A bundle passes if ONNX's reference implementation and OpenVINO choose the tokens that ONNX Runtime chooses (greedy decoding).
"""

import sys

import numpy as np
import openvino
from onnx.reference import ReferenceEvaluator
from onnx_bundle import Bundle

STEPS = 200


class OpenVino:
    """A graph in OpenVINO on the CPU, in the precision of the file."""

    def __init__(self, path, _threads):
        self.graph = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(self, outputs, feeds):
        results = self.graph(feeds)
        return [results[name].copy() for name in outputs]


RUNTIMES = {
    "ONNX's reference implementation": lambda path, _threads: ReferenceEvaluator(str(path)),
    f"OpenVINO {openvino.__version__.split('-')[0]}": OpenVino,
}


def decode(bundle):
    """Greedy tokens of two lanes, one with fewer pictures: `[2, STEPS]`, and their logits."""
    geometry = bundle.geometry
    frames = [geometry["frames"], geometry["frames"] // 3]
    shape = (len(frames), frames[0], 3, geometry["height"], geometry["width"])
    pixels = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    return bundle.open(pixels, (np.arange(frames[0]) < np.array(frames)[:, None]).astype(np.int64)).greedy(STEPS)


def main(folders):
    if not folders:
        sys.exit(__doc__)
    wrong = 0
    for folder in folders:
        want, logits = decode(Bundle(folder))
        for name, load in RUNTIMES.items():
            tokens, others = decode(Bundle(folder, load=load))
            same = int((tokens == want).all(axis=0).cumprod().sum())
            print(f"{folder} on {name}: {same} of {STEPS} tokens, logits within {np.abs(others - logits)[:, :same].max():.0e}")
            wrong += same < STEPS
    sys.exit(f"{wrong} of {len(folders) * len(RUNTIMES)} choose other tokens than ONNX Runtime" if wrong else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
