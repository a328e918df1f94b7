#!/usr/bin/env python3
"""Times steps of training a model of `train/configs` in PyTorch eager on the CPU, to hold burn against. Prints JSON.

Forward, backward and Adam, on fragments of the lengths given; layers and sizes are those of the crate `vmt-train`.
"""

import argparse
import json
import time

import torch
import yaml
from torch import nn
from torch.nn import functional as F

VOCABULARY = 310


class Frames(nn.Module):
    def __init__(self, config):
        super().__init__()
        filters, self.pool_grid = config["filters"], config.get("pool_grid", 1)
        inputs = [3, *filters[:-1]]
        self.motion = nn.Conv2d(1, filters[0], 4, 2, 1) if config.get("motion") else None
        self.convs = nn.ModuleList(nn.Conv2d(i, o, 4, 2, 1) for i, o in zip(inputs, filters))
        self.norms = nn.ModuleList(nn.GroupNorm(1, o) for o in filters)
        self.project = nn.Linear(filters[-1] * self.pool_grid**2, config["hidden"])

    def forward(self, pixels):
        pixels = pixels.float()
        x = pixels.flatten(0, 1) / 127.5 - 1
        for layer, (conv, norm) in enumerate(zip(self.convs, self.norms)):
            x = conv(x)
            if layer == 0 and self.motion:
                light = pixels.mean(2, keepdim=True)
                change = (light - torch.cat([light[:, :1], light[:, :-1]], 1)) / 127.5
                x = x + self.motion(change.flatten(0, 1))
            x = norm(F.leaky_relu(x, 0.2))
        x = F.adaptive_avg_pool2d(x, self.pool_grid).flatten(1)
        return self.project(x).unflatten(0, pixels.shape[:2])


def sinusoids(places, hidden):
    angles = places.unsqueeze(-1) * 10000 ** (-torch.arange(0, hidden, 2) / hidden)
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(-2)


class Attention(nn.Module):
    def __init__(self, hidden, heads, dropout):
        super().__init__()
        self.query = nn.Linear(hidden, hidden, bias=False)
        self.key_value = nn.Linear(hidden, 2 * hidden, bias=False)
        self.out = nn.Linear(hidden, hidden, bias=False)
        self.heads, self.dropout = heads, dropout

    def forward(self, x, memory, causal=False, bias=None):
        heads = lambda x: x.unflatten(2, (self.heads, -1)).transpose(1, 2)
        key, value = self.key_value(memory).chunk(2, 2)
        y = F.scaled_dot_product_attention(
            heads(self.query(x)), heads(key), heads(value), bias, dropout_p=self.dropout, is_causal=causal
        )
        return self.out(y.transpose(1, 2).flatten(2))


class Layer(nn.Module):
    def __init__(self, hidden, heads, feed_forward, dropout, cross):
        super().__init__()
        self.attention = Attention(hidden, heads, dropout)
        self.cross = Attention(hidden, heads, dropout) if cross else None
        self.feed_forward = nn.Sequential(nn.Linear(hidden, feed_forward), nn.ReLU(), nn.Linear(feed_forward, hidden))
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in range(3 if cross else 2))
        self.drop = nn.Dropout(dropout)

    def forward(self, x, memory=None, bias=None, alibi=None):
        y = self.norms[0](x)
        x = x + self.drop(self.attention(y, y, causal=self.cross is not None and alibi is None, bias=alibi))
        if self.cross:
            x = x + self.drop(self.cross(self.norms[1](x), memory, bias=bias))
        return x + self.drop(self.feed_forward(self.norms[-1](x)))


class Vmt(nn.Module):
    def __init__(self, config):
        super().__init__()
        hidden, sizes = config["hidden"], config["model"]["vmt"]
        layer = lambda cross: Layer(hidden, sizes["heads"], sizes["feed_forward"], config["dropout"], cross)
        self.frames = Frames(config)
        self.alibi = sizes.get("alibi", False)
        self.time_embedding = nn.Linear(hidden, hidden, bias=False) if sizes.get("time_embedding") else None
        self.held_notes = nn.Linear(88, hidden, bias=False) if sizes.get("held_notes") else None
        self.heads, self.frame_steps = sizes["heads"], config["geometry"]["frame_ms"] / 10
        self.encoder = nn.ModuleList(layer(False) for _ in range(config["layers"]))
        self.decoder = nn.ModuleList(layer(True) for _ in range(config["layers"]))
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in range(2))
        self.embedding = nn.Embedding(VOCABULARY, hidden)
        nn.init.normal_(self.embedding.weight, std=hidden**-0.5)
        self.drop = nn.Dropout(config["dropout"])

    def forward(self, pixels, tokens):
        memory = self.frames(pixels)
        _, frames, hidden = memory.shape
        memory = self.drop(memory + sinusoids(torch.arange(frames), hidden))
        for layer in self.encoder:
            memory = layer(memory)
        memory = self.norms[0](memory)
        x = self.embedding(tokens) * hidden**0.5 + sinusoids(torch.arange(tokens.shape[1]), hidden)
        if self.held_notes:
            pitches = torch.arange(88)
            on, off = ((tokens - first)[..., None] == pitches for first in (2, 90))
            x = x + self.held_notes((on.float() - off.float()).cumsum(1))
        bias = alibi = None
        slopes = 2 ** (-8 * torch.arange(self.heads + 1) / self.heads)[:, None, None]
        if self.alibi:
            places = torch.arange(tokens.shape[1])
            ahead = places - places[:, None]
            alibi = (slopes[1:] * ahead).masked_fill(ahead > 0, -torch.inf)
        if self.time_embedding:
            steps = torch.where((178 <= tokens) & (tokens < 278), tokens - 177, 0)
            now = steps.cumsum(1) / self.frame_steps - 0.5
            x = x + self.time_embedding(sinusoids(now, hidden))
            bias = -slopes[:-1] * (now[:, None, :, None] - torch.arange(frames)).abs()
        x = self.drop(x)
        for layer in self.decoder:
            x = layer(x, memory, bias, alibi)
        return F.linear(self.norms[1](x), self.embedding.weight)


class Seq2Seq(nn.Module):
    def __init__(self, config):
        super().__init__()
        hidden = config["hidden"]
        self.frames = Frames(config)
        self.gru = nn.GRU(hidden, hidden, config["layers"], batch_first=True, dropout=config["dropout"])
        self.embedding = nn.Embedding(VOCABULARY, hidden)
        self.combine = nn.Linear(2 * hidden, hidden)
        self.output = nn.Linear(hidden, VOCABULARY)
        self.drop = nn.Dropout(config["dropout"])

    def forward(self, pixels, tokens):
        memory, state = self.gru(self.frames(pixels))
        h, _ = self.gru(self.embedding(tokens), state)
        context = (h @ memory.transpose(1, 2)).softmax(2) @ memory
        return self.output(self.drop(self.combine(torch.cat([context, h], 2)).tanh()))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", help="a file of train/configs")
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--tokens", type=int, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    with open(args.config) as file:
        config = yaml.safe_load(file)
    model = Seq2Seq(config) if config["model"] == "seq2seq" else Vmt(config)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, betas=(0.9, 0.997), eps=1e-9)
    size = config["geometry"]
    pixels = torch.randint(0, 256, (args.batch, size["frames"], 3, size["height"], size["width"]), dtype=torch.uint8)
    tokens = torch.randint(2, VOCABULARY, (args.batch, args.tokens))
    best = float("inf")
    for _ in range(args.steps):
        start = time.perf_counter()
        logits = model(pixels, F.pad(tokens, (1, -1)))
        loss = F.cross_entropy(logits.flatten(0, 1), tokens.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        best = min(best, time.perf_counter() - start)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(json.dumps({"torch": torch.__version__, "parameters": parameters, "seconds": round(best, 4)}))


if __name__ == "__main__":
    main()
