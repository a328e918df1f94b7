//! Soundfonts: `--soundfont`.

use vmt_render::SoundFont;

/// A soundfont that is read plays every note.
pub fn run(bytes: &[u8]) {
    crate::silence_panics();
    if let Err(error) = SoundFont::read(bytes) {
        assert!(!error.to_string().is_empty());
    }
}

/// One instrument of a sawtooth.
pub fn seeds() -> Vec<Vec<u8>> {
    let chunk = |name: &[u8; 4], parts: &[&[u8]]| {
        let bytes = parts.concat();
        [name, &(bytes.len() as u32).to_le_bytes()[..], &bytes].concat()
    };
    let name = |text: &str| {
        let mut name = [0; 20];
        name[..text.len()].copy_from_slice(text.as_bytes());
        name
    };
    let words = |words: &[u16]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let longs = |longs: &[u32]| longs.iter().flat_map(|long| long.to_le_bytes()).collect::<Vec<u8>>();
    let samples: Vec<u16> = (0..250_u16).map(|index| (index % 50) * 600).collect();

    let info = chunk(b"LIST", &[b"INFO", &chunk(b"ifil", &[&words(&[2, 1])]), &chunk(b"INAM", &[b"saw\0"])]);
    let data = chunk(b"LIST", &[b"sdta", &chunk(b"smpl", &[&words(&samples)])]);
    // Generators 41 and 53 name the instrument and the sample, 54 is its loop.
    let presets = [
        chunk(
            b"phdr",
            &[&name("saw"), &words(&[0, 0, 0]), &longs(&[0; 3]), &name("EOP"), &words(&[0, 0, 1]), &longs(&[0; 3])],
        ),
        chunk(b"pbag", &[&words(&[0, 0, 1, 0])]),
        chunk(b"pmod", &[&[0; 10]]),
        chunk(b"pgen", &[&words(&[41, 0, 0, 0])]),
        chunk(b"inst", &[&name("saw"), &words(&[0]), &name("EOI"), &words(&[1])]),
        chunk(b"ibag", &[&words(&[0, 0, 2, 0])]),
        chunk(b"imod", &[&[0; 10]]),
        chunk(b"igen", &[&words(&[54, 1, 53, 0, 0, 0])]),
        chunk(
            b"shdr",
            &[&name("saw"), &longs(&[0, 200, 50, 150, 24_000]), &[60, 0], &words(&[0, 1]), &name("EOS"), &[0; 26]],
        ),
    ];
    let presets = chunk(b"LIST", &[b"pdta", &presets.concat()]);
    let font = chunk(b"RIFF", &[b"sfbk", &info, &data, &presets]);
    SoundFont::read(&font[..]).expect("the seed must be a soundfont");
    vec![font]
}

/// Chunks.
pub fn words() -> Vec<Vec<u8>> {
    crate::words(&[
        "RIFF", "LIST", "INFO", "sdta", "smpl", "sm24", "pdta", "phdr", "pbag", "pgen", "inst", "ibag", "igen", "shdr",
        "OggS",
    ])
}
