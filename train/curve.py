#!/usr/bin/env python3
"""Draws how training went: the validation losses of one or several runs, against the fragments seen.

    python3 train/curve.py vmt=RUN,LATER_RUN seq2seq=RUN -o curve.png

A run that began with the weights of another is named behind it.

Needs matplotlib and PyYAML.
"""

import argparse
import csv
from pathlib import Path

import matplotlib
import yaml

matplotlib.use("Agg")
from matplotlib import pyplot


def rows(path):
    with open(path) as file:
        return list(csv.DictReader(file))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN", help="a name, and the folders that vmt-train wrote")
    parser.add_argument("-o", "--out", required=True, type=Path, help="the picture; .png or .svg")
    args = parser.parse_args()

    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    for run in args.runs:
        name, _, folders = run.partition("=")
        seen, losses, blind, before = [], [], [], 0
        for folder in map(Path, folders.split(",")):
            thousands = yaml.safe_load((folder / "config.yaml").read_text())["recipe"]["batch"] / 1000
            for row in rows(folder / "validation.csv"):
                seen.append(before + int(row["step"]) * thousands)
                losses.append(float(row["loss"]))
                blind.append(float(row["without_video"] or "nan"))
            before += int(rows(folder / "train.csv")[-1]["step"]) * thousands
        (line,) = axes.plot(seen, losses, label=name)
        axes.plot(seen, blind, ":", color=line.get_color())
    axes.set(xlabel="thousand fragments of 10 s seen", ylabel="validation loss, nats per event")
    axes.plot([], [], ":", color="grey", label="without video")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(args.out, dpi=110)


if __name__ == "__main__":
    main()
