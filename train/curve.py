#!/usr/bin/env python3
"""Draws how training went: the validation losses of one or several runs, against the fragments seen.

    python3 train/curve.py vmt=RUN seq2seq=RUN -o curve.png

Needs matplotlib and PyYAML.
"""

import argparse
import csv
from pathlib import Path

import matplotlib
import yaml

matplotlib.use("Agg")
from matplotlib import pyplot


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN", help="a name, and the folder that vmt-train wrote")
    parser.add_argument("-o", "--out", required=True, type=Path, help="the picture; .png or .svg")
    args = parser.parse_args()

    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    for run in args.runs:
        name, _, folder = run.partition("=")
        folder = Path(folder)
        batch = yaml.safe_load((folder / "config.yaml").read_text())["recipe"]["batch"]
        with open(folder / "validation.csv") as file:
            rows = list(csv.DictReader(file))
        fragments = [int(row["step"]) * batch / 1000 for row in rows]
        (line,) = axes.plot(fragments, [float(row["loss"]) for row in rows], label=name)
        blind = [float(row["without_video"] or "nan") for row in rows]
        axes.plot(fragments, blind, ":", color=line.get_color())
    axes.set(xlabel="thousand fragments of 10 s seen", ylabel="validation loss, nats per event")
    axes.plot([], [], ":", color="grey", label="without video")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(args.out, dpi=110)


if __name__ == "__main__":
    main()
