#!/usr/bin/env python3
"""Decodes with bundles on other ONNX runtimes: check_runtimes.py BUNDLE...

A bundle passes if ONNX's reference implementation, OpenVINO and onnxruntime-web choose the tokens that ONNX Runtime chooses (greedy decoding).
"""

import json
import subprocess
import sys
from pathlib import Path

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


WEB = Path(__file__).parent.parent / "runtime/vmt-web"


def video(geometry):
    """Noise for two lanes, one with fewer pictures: pixels and their mask."""
    frames = [geometry["frames"], geometry["frames"] // 3]
    shape = (len(frames), frames[0], 3, geometry["height"], geometry["width"])
    pixels = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    return pixels, (np.arange(frames[0]) < np.array(frames)[:, None]).astype(np.int64)


def decode(bundle):
    """Greedy tokens `[2, STEPS]` and their logits."""
    return bundle.open(*video(bundle.geometry)).greedy(STEPS)


def decode_in_node(bundle):
    """Greedy tokens on onnxruntime-web, by the module for browsers."""
    pixels, mask = video(bundle.geometry)
    lanes = ",".join("".join(map(str, lane)) for lane in mask)
    command = [Path(sys.executable).with_name("node"), WEB / "tests/greedy.js", bundle.folder, str(STEPS), lanes]
    done = subprocess.run(command, input=pixels.tobytes(), stdout=subprocess.PIPE, check=True)
    return np.array(json.loads(done.stdout))


def agreeing(tokens, want):
    """How many tokens of all lanes are the same, from the first on."""
    return int((tokens == want).all(axis=0).cumprod().sum())


def main(folders):
    if not folders:
        sys.exit(__doc__)
    web = json.loads((WEB / "package.json").read_text("utf-8"))["dependencies"]["onnxruntime-web"]
    wrong = 0
    for folder in folders:
        bundle = Bundle(folder)
        want, logits = decode(bundle)
        for name, load in RUNTIMES.items():
            tokens, others = decode(Bundle(folder, load=load))
            same = agreeing(tokens, want)
            print(f"{folder} on {name}: {same} of {STEPS} tokens, logits within {np.abs(others - logits)[:, :same].max():.0e}")
            wrong += same < STEPS
        same = agreeing(decode_in_node(bundle), want)
        print(f"{folder} on onnxruntime-web {web}: {same} of {STEPS} tokens")
        wrong += same < STEPS
    sys.exit(f"{wrong} of {len(folders) * (len(RUNTIMES) + 1)} choose other tokens than ONNX Runtime" if wrong else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
