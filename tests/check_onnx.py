#!/usr/bin/env python3
"""Holds bundles against ONNX's own checker and Python's ONNX Runtime: check_onnx.py BUNDLE...

A bundle passes if both graphs are valid, if they can be run by the manifest alone, and if it makes no difference
whether tokens come one by one or all at once, nor whether a clip, or none, has a longer neighbour.
"""

import sys

import numpy as np
import onnx
from onnx_bundle import VOCABULARY, Bundle

STEPS = 32
TOLERANCE = 1e-4
LANES = 3


class Wrong(Exception):
    """What a bundle must do and does not."""


def check_graph(path):
    onnx.checker.check_model(path, full_check=True)
    model = onnx.load(path)
    opsets = {(opset.domain, opset.version) for opset in model.opset_import}
    if opsets != {("", 17)}:
        raise Wrong(f"{path} must need opset 17 and nothing else, but needs {sorted(opsets)}")
    if control := {node.op_type for node in model.graph.node} & {"If", "Loop", "Scan"}:
        raise Wrong(f"{path} must not have control flow, but has {sorted(control)}")


def check_inputs(session, want):
    """`want` is `{name: type}`, and all of it."""
    got = {tensor.name: tensor.type for tensor in session.get_inputs()}
    if differ := sorted(name for name in got.keys() | want.keys() if got.get(name) != want.get(name)):
        lists = [", ".join(f"{name} {tensors.get(name, 'missing')}" for name in differ) for tensors in (want, got)]
        raise Wrong(f"the manifest gives the inputs {lists[0]}; the graph has {lists[1]}")


def check_tensor(name, got, shape):
    if got.dtype != np.float32 or got.shape != tuple(shape):
        raise Wrong(f"`{name}` must be float32 {list(shape)}, but is {got.dtype} {list(got.shape)}")
    if not np.isfinite(got).all():
        raise Wrong(f"`{name}` holds numbers that are not finite")


def check_close(what, got, want):
    """The largest difference, if it is small enough."""
    worst = float(np.abs(got - want).max())
    if not worst <= TOLERANCE:
        raise Wrong(f"{what}: logits differ by {worst:.1e}; {TOLERANCE:.0e} is allowed")
    return worst


def check_names(bundle):
    encoder, decoder = bundle.manifest["encoder"], bundle.manifest["decoder"]
    inputs = {encoder["pixels"]: "tensor(uint8)", encoder["frame_mask"]: "tensor(int64)"}
    if features := encoder.get("features"):
        inputs |= {features["known"]: "tensor(float)", features["indices"]: "tensor(int64)"}
    check_inputs(bundle.encoder, inputs)
    integers = [decoder[key] for key in ("tokens", "positions", "times", "token_mask", "frame_mask") if key in decoder]
    if "conditions" in decoder:
        integers.append(decoder["conditions"]["input"])
    floats = [tensor["to"] for key in ("context", "state") for tensor in bundle.manifest[key]]
    check_inputs(
        bundle.decoder, {name: "tensor(int64)" for name in integers} | {name: "tensor(float)" for name in floats}
    )


def check_state(bundle, decoding, first):
    """The axis that was empty has grown by the tokens fed; a state without one keeps its shape."""
    for name, value in decoding.state.items():
        shape = [size or decoding.fed for size in first[name].shape]
        check_tensor(name, value, shape)


def check_bundle(folder):
    bundle = Bundle(folder)
    for graph in ("encoder", "decoder"):
        check_graph(bundle.path(graph))
    check_names(bundle)

    random = np.random.default_rng(1)
    geometry = bundle.geometry
    # The last lane has no video.
    frames = [geometry["frames"], geometry["frames"] // 3, 0]
    pixels = random.integers(0, 256, (LANES, frames[0], 3, geometry["height"], geometry["width"]), np.uint8)
    frame_mask = (np.arange(frames[0]) < np.array(frames)[:, None]).astype(np.int64)

    stepped = bundle.open(pixels, frame_mask)
    for name, value in stepped.encoded.items():
        check_tensor(name, value, [LANES, *value.shape[1:]])
    first = dict(stepped.state)
    tokens, want = stepped.greedy(STEPS)
    check_tensor(bundle.manifest["decoder"]["logits"], want, [LANES, STEPS, VOCABULARY])
    check_state(bundle, stepped, first)

    at_once = bundle.open(pixels, frame_mask)
    worst = check_close("cached steps and one prefill", at_once.feed(tokens), want)
    check_state(bundle, at_once, first)

    for lane in range(1, LANES):
        row, length = slice(lane, lane + 1), max(frames[lane], 1)
        alone = bundle.open(pixels[row, :length], frame_mask[row, :length])
        worst = max(worst, check_close("a clip beside a longer one and alone", alone.feed(tokens[row]), want[row]))
    print(f"{folder}: valid; {STEPS} steps of {LANES} lanes agree to {worst:.1e}")


def main(folders):
    if not folders:
        sys.exit(__doc__)
    failed = 0
    for folder in folders:
        try:
            check_bundle(folder)
        except Exception as error:  # Whatever it is, it is this bundle's, and the next one is still to be checked.
            failed += 1
            print(f"{folder}: {type(error).__name__}: {error}", file=sys.stderr)
    sys.exit(f"{failed} of {len(folders)} bundles are not as they must be" if failed else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
