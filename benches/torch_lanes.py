#!/usr/bin/env python3
"""Events a second of greedy decoding with a key-value cache in PyTorch eager, at 1, 8 and 64 lanes: lines for benches/cuda.sh.

The model is that of training_step.py with random weights; its configuration must have no parts that are not the paper's.
"""

import argparse
import time

import torch
import yaml
from torch.nn import functional as F
from training_step import Vmt, sinusoids

LANES = [1, 8, 64]
STEPS = 128


class Decoding:
    """The cache of each layer, `[lanes, heads, STEPS, size]`, and what a film's pictures give, `[lanes, heads, frames, size]`."""

    def __init__(self, model, pixels, lanes):
        self.model, self.past = model, 0
        memory = model.frames(pixels)
        _, frames, hidden = memory.shape
        memory = memory + sinusoids(torch.arange(frames), hidden)
        for layer in model.encoder:
            memory = layer(memory)
        memory = model.norms[0](memory).expand(lanes, -1, -1)
        split = lambda x: x.chunk(2, 2)
        self.film = [[self.heads(x) for x in split(layer.cross.key_value(memory))] for layer in model.decoder]
        shape = (lanes, model.heads, STEPS, hidden // model.heads)
        self.cache = [[torch.zeros(shape) for _ in range(2)] for _ in model.decoder]
        self.positions = sinusoids(torch.arange(STEPS), hidden)

    def heads(self, x):
        return x.unflatten(2, (self.model.heads, -1)).transpose(1, 2)

    def attend(self, attention, x, key, value):
        y = F.scaled_dot_product_attention(self.heads(attention.query(x)), key, value)
        return attention.out(y.transpose(1, 2).flatten(2))

    def step(self, tokens):
        """The logits `[lanes, vocabulary]` that follow one token of each lane."""
        model, past = self.model, self.past
        x = model.embedding(tokens)[:, None] * self.positions.shape[1] ** 0.5 + self.positions[past]
        for layer, cache, film in zip(model.decoder, self.cache, self.film):
            y = layer.norms[0](x)
            for kept, new in zip(cache, layer.attention.key_value(y).chunk(2, 2)):
                kept[:, :, past] = self.heads(new)[:, :, 0]
            x = x + self.attend(layer.attention, y, *(kept[:, :, : past + 1] for kept in cache))
            x = x + self.attend(layer.cross, layer.norms[1](x), *film)
            x = x + layer.feed_forward(layer.norms[-1](x))
        self.past += 1
        return F.linear(model.norms[1](x), model.embedding.weight)[:, 0]


def decode(model, pixels, lanes):
    decoding = Decoding(model, pixels, lanes)
    tokens = chosen = torch.arange(1, lanes + 1)
    start = time.perf_counter()
    steps = []
    for _ in range(STEPS):
        tokens = decoding.step(tokens).argmax(1)
        # The loop that samples needs each token on the host.
        steps.append(tokens.cpu())
    return torch.stack([chosen.cpu(), *steps]), time.perf_counter() - start


@torch.inference_mode()
def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", help="a file of train/configs")
    parser.add_argument("--device", choices=["cpu", "cuda"], required=True)
    parser.add_argument("--threads", type=int, required=True)
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    torch.set_default_device(args.device)
    with open(args.config) as file:
        config = yaml.safe_load(file)
    model = Vmt(config).eval()
    size = config["geometry"]
    pixels = torch.randint(0, 256, (1, size["frames"], 3, size["height"], size["width"]), dtype=torch.uint8)
    decode(model, pixels, 1)
    for lanes in LANES:
        tokens, seconds = decode(model, pixels, lanes)
        # The cache changes nothing.
        whole = model(pixels.expand(lanes, -1, -1, -1, -1), tokens[:-1].T.to(args.device)).argmax(2).cpu()
        verdict = "as without a cache" if (whole.T == tokens[1:]).float().mean() > 0.99 else "wrong"
        print(f"{'paper-vmt':16}{'torch':8}{lanes:6}{lanes * STEPS / seconds:10.0f}  {verdict}")


if __name__ == "__main__":
    main()
