#!/usr/bin/env bash
# Events a second at 1, 8 and 64 lanes, of the built-in bundle and of one of the paper's size: ONNX Runtime on an NVIDIA GPU, on the
# CPU, and PyTorch on the GPU where PYTHON (or python3) has it. Fails without a GPU, and where greedy tokens differ.
# Usage: ORT_DYLIB_PATH=.../libonnxruntime.so.1.28.0 benches/cuda.sh [--cpu-only]
# ORT_DYLIB_PATH is the library of PyPI's onnxruntime-gpu. --cpu-only tries the script itself: tract in place of the GPU.
set -euo pipefail
cd "$(dirname "$0")/.."

engines=ort,cuda device=cuda
case ${1-} in
    --cpu-only) engines=ort,tract device=cpu ;;
    "") compgen -G '/proc/driver/nvidia/gpus/*' >/dev/null || {
        echo "cuda.sh: no NVIDIA GPU: /proc/driver/nvidia/gpus is empty or missing; --cpu-only needs none" >&2
        exit 1
    } ;;
    *)
        echo "Usage: cuda.sh [--cpu-only]" >&2
        exit 2
        ;;
esac
THREADS=${THREADS:-$(nproc)}
export THREADS

release=${CARGO_TARGET_DIR:-target}/release paper=target/bench/paper-vmt
cargo build --release --workspace --locked --bins --examples
if [ ! -e $paper/manifest.yaml ]; then
    "$release/vmt-export" --config train/configs/paper-vmt.yaml --seed 1 --name paper-vmt -o $paper
fi
[ $device = cpu ] || sed -n 's/^Model:[[:space:]]*//p' /proc/driver/nvidia/gpus/*/information
echo "$THREADS threads on the CPU"
"$release/examples/lanes" $engines onnx/vmt-beat $paper
if "${PYTHON:-python3}" -c "import sys, torch, yaml; sys.exit('$device' == 'cuda' and not torch.cuda.is_available())" 2>/dev/null; then
    "${PYTHON:-python3}" benches/torch_lanes.py train/configs/paper-vmt.yaml --device $device --threads "$THREADS"
else
    echo "PyTorch: not measured (set PYTHON to one with torch that finds the GPU, and yaml)"
fi
