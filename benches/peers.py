#!/usr/bin/env python3
"""Times greedy decoding in other runtimes of an encoder-decoder transformer of our sizes with random weights, one thread, with a
cache. Prints a row for each: its name, a tab, events a second at each number of lanes."""

import argparse
import tempfile
import time

import ctranslate2
import numpy as np
from ctranslate2.specs import transformer_spec

# Hidden size, size of the feed-forward layers, heads, layers of the encoder and of the decoder.
SIZES = {"small": (192, 768, 4, 4), "paper": (512, 2048, 8, 6)}
VOCABULARY, FRAMES, PLACES = 310, 40, 1024
rng = np.random.default_rng(1)


def weights(*shape):
    return rng.normal(0, 0.05, shape).astype(np.float32)


def linear(layer, inputs, outputs):
    layer.weight, layer.bias = weights(outputs, inputs), weights(outputs)


def layer_norm(layer, hidden):
    layer.gamma, layer.beta = np.ones(hidden, np.float32), np.zeros(hidden, np.float32)


def transformer(hidden, feed_forward, heads, layers):
    """The specification of such a model for CTranslate2."""
    spec = transformer_spec.TransformerSpec.from_config((layers, layers), heads, pre_norm=True)
    encoder, decoder = spec.encoder, spec.decoder
    encoder.embeddings[0].weight = weights(VOCABULARY, hidden)
    decoder.embeddings.weight = weights(VOCABULARY, hidden)
    linear(decoder.projection, hidden, VOCABULARY)
    for part in (encoder, decoder):
        part.position_encodings.encodings = weights(PLACES, hidden)
        layer_norm(part.layer_norm, hidden)
        for layer in part.layer:
            attentions = [(layer.self_attention, [3, 1])]
            if part is decoder:
                attentions.append((layer.attention, [1, 2, 1]))
            for attention, widths in attentions:
                layer_norm(attention.layer_norm, hidden)
                for part_layer, width in zip(attention.linear, widths):
                    linear(part_layer, hidden, width * hidden)
            layer_norm(layer.ffn.layer_norm, hidden)
            linear(layer.ffn.linear_0, hidden, feed_forward)
            linear(layer.ffn.linear_1, feed_forward, hidden)
    return spec


def ctranslate2_rates(size, events, lanes):
    """Rows for CTranslate2 with weights in fp32 and in int8."""
    spec = transformer(*SIZES[size])
    tokens = ["<unk>", "<s>", "</s>"] + [str(token) for token in range(VOCABULARY - 3)]
    spec.register_source_vocabulary(tokens)
    spec.register_target_vocabulary(tokens)
    spec.validate()
    spec.optimize()
    with tempfile.TemporaryDirectory() as folder:
        spec.save(folder)
        for compute_type in ("float32", "int8"):
            model = ctranslate2.Translator(folder, intra_threads=1, inter_threads=1, compute_type=compute_type)
            rates = []
            for count in lanes:
                sources = [[str((7 * lane + frame) % 300) for frame in range(FRAMES)] for lane in range(count)]
                began = time.perf_counter()
                model.translate_batch(
                    sources, beam_size=1, min_decoding_length=events, max_decoding_length=events
                )
                rates.append(count * events / (time.perf_counter() - began))
            yield f"CTranslate2 {compute_type}", rates


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", choices=SIZES)
    parser.add_argument("events", type=int)
    parser.add_argument("lanes", type=int, nargs="+")
    args = parser.parse_args()
    for name, rates in ctranslate2_rates(args.size, args.events, args.lanes):
        print(name, " ".join(f"{rate:.1f}" for rate in rates), sep="\t")


if __name__ == "__main__":
    main()
