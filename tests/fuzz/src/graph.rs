//! ONNX graphs under a right hash, which tract loads and tries.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use sha2::{Digest, Sha256};
use tempfile::TempDir;
use vmt::ndarray::Array4;
use vmt::{Backend, Bundle, Clip, Token};

/// Bundles whose graphs are replaced: the smallest ones.
const BUNDLES: [&str; 2] = ["tiny-vmt", "tiny-seq2seq"];
const GRAPHS: [&str; 2] = ["encoder.onnx", "decoder.onnx"];

/// Copies of the bundles, in memory where the system has such a place.
static COPIES: LazyLock<TempDir> = LazyLock::new(|| {
    let copies = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    for name in BUNDLES {
        fs::create_dir(copies.path().join(name)).unwrap();
        for file in GRAPHS {
            fs::copy(bundle(name).join(file), copies.path().join(name).join(file)).unwrap();
        }
    }
    copies
});

/// The first byte chooses the graph that the rest replaces. What loads is a model that gives logits of the right shape, or
/// says why it does not; it may take as much memory and time as it says.
pub fn run(bytes: &[u8]) {
    crate::silence_panics();
    let [which, graph @ ..] = bytes else { return };
    let (name, file) = (BUNDLES[usize::from(which % 2)], GRAPHS[usize::from(which / 2 % 2)]);
    let folder = COPIES.path().join(name);
    let original = fs::read(bundle(name).join(file)).unwrap();
    let manifest = fs::read_to_string(bundle(name).join("manifest.yaml")).unwrap();
    fs::write(folder.join("manifest.yaml"), manifest.replace(&sha256(&original), &sha256(graph))).unwrap();
    fs::write(folder.join(file), graph).unwrap();
    let bundle = Bundle::open(&folder).expect("the hashes are right");
    fs::write(folder.join(file), original).unwrap();

    let engine = match Backend::Tract.load(&bundle, None) {
        Ok(engine) => engine,
        Err(error) => return assert!(error.to_string().contains(".onnx: "), "{error}"),
    };
    let geometry = engine.geometry();
    let frames = Array4::from_elem((3, 3, geometry.height(), geometry.width()), 100);
    let clip = Clip::new(frames, &geometry).unwrap();
    let Ok(mut session) = engine.open_takes(&[clip], 2) else { return };
    for token in [Token::PAD, Token::END, Token::PAD] {
        match session.step(&[token; 2]) {
            Ok(logits) => assert_eq!(logits.dim(), (2, vmt::VOCABULARY)),
            Err(error) => return assert!(!error.to_string().is_empty()),
        }
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bundle(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../onnx").join(name)
}

/// All four graphs as they are.
pub fn seeds() -> Vec<Vec<u8>> {
    let seed = |which: usize| {
        let graph = fs::read(bundle(BUNDLES[which % 2]).join(GRAPHS[which / 2])).unwrap();
        [&[which as u8], &graph[..]].concat()
    };
    (0..4).map(seed).collect()
}

/// Operators, and numbers as protobuf writes them.
pub fn words() -> Vec<Vec<u8>> {
    let operators = [
        "Add",
        "Cast",
        "Concat",
        "ConstantOfShape",
        "Conv",
        "Div",
        "Einsum",
        "Equal",
        "Expand",
        "Gather",
        "Gemm",
        "Identity",
        "If",
        "Loop",
        "MatMul",
        "Mul",
        "Pad",
        "Pow",
        "Range",
        "ReduceMean",
        "Reshape",
        "Resize",
        "Scan",
        "Shape",
        "Slice",
        "Softmax",
        "Split",
        "Squeeze",
        "Tile",
        "TopK",
        "Transpose",
        "Unsqueeze",
        "Where",
    ];
    let numbers: [&[u8]; 4] =
        [b"\xff\xff\xff\xff\x0f", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x80\x80\x80\x80\x08", b"\x00"];
    crate::words(&operators).into_iter().chain(numbers.map(<[u8]>::to_vec)).collect()
}
