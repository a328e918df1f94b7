#!/usr/bin/env bash
# Runs the programs in FOLDER and the Python package under strace, with a new home and without the variables of a CI, which some libraries take as
# a hint to be quiet: they may write their outputs and nothing else, and open no connection.
# Usage: quiet.sh FOLDER
set -euo pipefail
cd "$(dirname "$0")/.."
programs=$(realpath "$1")
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
mkdir "$place"/{home,tmp,out}

# Lines of a trace that open a socket, or write where nothing was asked for. /dev/null and terminals keep nothing.
loud() {
    grep -E 'socket\(|connect\(|sendto\(|sendmsg\(' "$1" || true
    grep -E '(open|openat|openat2|creat)\(.*(O_WRONLY|O_RDWR|O_CREAT)|(mkdir|mknod|rename|link|symlink)[a-z0-9]*\(' "$1" |
        grep -vE "\"($place/out|/dev/null|/dev/tty|/proc/self/)" || true
}

quiet() {
    echo "quiet: $*"
    local program=$1
    [[ $program == */* ]] || program=$programs/$program
    env -i PATH="$PATH" HOME="$place/home" TMPDIR="$place/tmp" ORT_DYLIB_PATH="$PWD/target/onnxruntime/libonnxruntime.so" \
        strace -f -qq -e trace=network,open,openat,openat2,creat,mkdir,mkdirat,mknod,mknodat,rename,renameat,renameat2,link,linkat,symlink,symlinkat \
        -e status=successful -o "$place/trace" "$program" "${@:2}" >"$place/said" || { cat "$place/said"; return 1; }
    loud "$place/trace" >"$place/loud"
    if [ -s "$place/loud" ] || [ -n "$(find "$place/home" "$place/tmp" -mindepth 1)" ]; then
        echo "quiet: this was not asked for:" >&2
        cat "$place/loud" >&2
        find "$place/home" "$place/tmp" -mindepth 1 >&2
        return 1
    fi
}

outputs=()
for kind in mid wav mp4 mkv png svg musicxml mxl json; do
    outputs+=(-o "$place/out/a.$kind")
done
for engine in auto tract; do
    quiet vmt compose tests/data/demo.mp4 --end 2 --engine $engine --thumbnails --original-volume 0.5 "${outputs[@]}"
done
quiet vmt compose --from "$place/out/a.json" -o "$place/out/b.wav"
quiet vmt doctor
quiet vmt inspect

systems=(--system "beat=onnx/tiny-vmt" --system "other=onnx/tiny-seq2seq")
quiet vmt-train study make tests/data/demo.mp4 "${systems[@]}" --seconds 2 -o "$place/out/study"
quiet vmt-train case-study tests/data/demo.mp4 "${systems[@]}" -o "$place/out/figure.png"

# The Python package, as its tests lay it out.
for engine in auto tract; do
    quiet target/python/bin/python -I -B -c "
import sys
sys.path.insert(0, 'target/python-package')
import vmt
music = vmt.Composer(engine='$engine').compose('tests/data/demo.mp4')
music._repr_html_()
for kind in ['mid', 'wav', 'png', 'musicxml', 'json']:
    music.save('$place/out/python.' + kind, overwrite=True)
"
done

# What must be seen is seen.
if (quiet vmt tokens decode /dev/stdin -o "$place/home/a.mid" <<<'{"ids": []}') 2>/dev/null; then
    echo "quiet: a file in the home directory was not noticed" >&2
    exit 1
fi
