"""A bundle in Python. As in Rust, the manifest names every tensor and no model is known here."""

import hashlib
from pathlib import Path

import numpy as np
import onnxruntime
import yaml

START = 0  # Event `Pad` of the vocabulary performance-310.
SHIFTS = 178, 278  # From the first shift, of 10 ms, to behind the last, of 1 s.
VOCABULARY = 310


def onnx_runtime(path, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


class Bundle:
    """Both graphs, loaded by `load(path, threads)`, which returns what has `run(outputs, feeds)` as ONNX Runtime does."""

    def __init__(self, folder, threads=1, load=onnx_runtime):
        self.folder, self.load = Path(folder), load
        self.manifest = yaml.safe_load((self.folder / "manifest.yaml").read_text("utf-8"))
        self.geometry = self.manifest["geometry"]
        self.encoder = self._session("encoder", threads)
        self.decoder = self._session("decoder", threads)

    def path(self, graph):
        return self.folder / self.manifest[graph]["file"]

    def _session(self, graph, threads):
        want, got = self.manifest[graph]["sha256"], hashlib.sha256(self.path(graph).read_bytes()).hexdigest()
        if want != got:
            raise ValueError(f"{self.path(graph)} must have the SHA-256 {want}, but has {got}")
        return self.load(self.path(graph), threads)

    def open(self, pixels, frame_mask):
        """Encodes u8 `[lanes, frames, 3, height, width]` with its mask i64 `[lanes, frames]`; ready to decode."""
        names = self.manifest["encoder"]
        feeds = {names["pixels"]: pixels, names["frame_mask"]: frame_mask}
        if "features" in names:
            # Each picture behind the one before, the first behind itself; none is known.
            before = np.concatenate([pixels[:, :1], pixels[:, :-1]], 1)
            pairs = np.stack([before, pixels], 2)
            feeds[names["pixels"]] = pairs.reshape(-1, *pairs.shape[2:])
            feeds[names["features"]["known"]] = np.zeros((0, names["features"]["size"]), np.float32)
            feeds[names["features"]["indices"]] = np.arange(frame_mask.size).reshape(frame_mask.shape)
        first = [tensor["first"]["encoder"] for tensor in self.manifest["state"] if "encoder" in tensor["first"]]
        outputs = [tensor["from"] for tensor in self.manifest["context"]] + first
        return Decoding(self, frame_mask, dict(zip(outputs, self.encoder.run(outputs, feeds))))


class Decoding:
    """Lanes in the middle of being decoded."""

    def __init__(self, bundle, frame_mask, encoded):
        manifest = bundle.manifest
        self.bundle, self.encoded, self.lanes, self.fed = bundle, encoded, len(frame_mask), 0
        self.elapsed = np.zeros((self.lanes, 1), np.int64)
        self.context = {tensor["to"]: encoded[tensor["from"]] for tensor in manifest["context"]}
        if "frame_mask" in manifest["decoder"]:
            self.context[manifest["decoder"]["frame_mask"]] = frame_mask
        self.state = {}
        for tensor in manifest["state"]:
            match tensor["first"]:
                case {"empty": shape}:
                    self.state[tensor["to"]] = np.zeros((self.lanes, *shape), np.float32)
                case {"encoder": name}:
                    self.state[tensor["to"]] = encoded[name]
                case other:
                    raise ValueError(f"a first state is `empty` or an output of the `encoder`, not {other}")

    def feed(self, tokens, conditions=None):
        """Feeds i64 `[lanes, new]`; returns the logits f32 `[lanes, new, 310]` of what follows each. `conditions`, i64
        `[lanes, new, columns]`, is what is known of the moment after each token: by default nothing."""
        names, state = self.bundle.manifest["decoder"], self.bundle.manifest["state"]
        new = tokens.shape[1]
        feeds = {names["tokens"]: tokens, **self.context, **self.state}
        if "positions" in names:
            feeds[names["positions"]] = np.tile(np.arange(self.fed, self.fed + new), (self.lanes, 1))
        steps = np.where((tokens >= SHIFTS[0]) & (tokens < SHIFTS[1]), tokens - SHIFTS[0] + 1, 0)
        times = self.elapsed + np.cumsum(steps, 1)
        if "times" in names:
            feeds[names["times"]] = times
        if "token_mask" in names:
            feeds[names["token_mask"]] = np.ones((self.lanes, self.fed + new), np.int64)
        if "conditions" in names:
            columns = names["conditions"]["columns"]
            unknown = np.zeros((*tokens.shape, len(columns)), np.int64)
            feeds[names["conditions"]["input"]] = unknown if conditions is None else conditions
        logits, *returned = self.bundle.decoder.run([names["logits"], *(tensor["from"] for tensor in state)], feeds)
        for tensor, value in zip(state, returned):
            name = tensor["to"]
            if tensor.get("append"):
                value = np.concatenate([self.state[name], value], 1 + tensor["first"]["empty"].index(0))
            self.state[name] = value
        self.fed, self.elapsed = self.fed + new, times[:, -1:]
        return logits

    def greedy(self, steps):
        """Decodes token by token; returns what was fed `[lanes, steps]` and the logits `[lanes, steps, 310]`."""
        token, fed, logits = np.full((self.lanes, 1), START), [], []
        for _ in range(steps):
            fed.append(token)
            logits.append(self.feed(token))
            token = logits[-1].argmax(axis=-1)
        return np.concatenate(fed, axis=1), np.concatenate(logits, axis=1)
