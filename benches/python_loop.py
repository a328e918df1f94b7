#!/usr/bin/env python3
"""Times greedy decoding of one full clip in Python's ONNX Runtime, to hold the Rust loop against. Prints JSON."""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime

sys.path.append(str(Path(__file__).parent.parent / "tests"))
from onnx_bundle import Bundle

WARM_UP = 20


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--tokens", type=int, default=300)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()

    bundle = Bundle(args.bundle, args.threads)
    frames, height, width = (bundle.geometry[key] for key in ("frames", "height", "width"))
    pixels = np.random.default_rng(1).integers(0, 256, (1, frames, 3, height, width), np.uint8)
    frame_mask = np.ones((1, frames), np.int64)

    bundle.open(pixels, frame_mask).greedy(min(WARM_UP, args.tokens))
    start = time.perf_counter()
    decoding = bundle.open(pixels, frame_mask)
    encoded = time.perf_counter()
    decoding.greedy(args.tokens)
    seconds = time.perf_counter() - encoded
    result = {
        "bundle": str(args.bundle),
        "onnxruntime": onnxruntime.__version__,
        "threads": args.threads,
        "tokens": args.tokens,
        "encoder_ms": round((encoded - start) * 1e3, 2),
        "tokens_per_second": round(args.tokens / seconds, 1),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
