//! The committed header is what cbindgen writes.

use std::fs;
use std::path::Path;

/// Written anew with `VMT_BLESS=1`.
#[test]
fn the_header_is_that_of_the_code() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(here.join("cbindgen.toml")).unwrap();
    let mut builder = cbindgen::Builder::new().with_config(config);
    // In the order in which a reader meets them.
    for file in [
        "version",
        "status",
        "bundle",
        "composer",
        "film",
        "cancellation",
        "compose",
        "options",
        "composition",
        "bytes",
    ] {
        builder = builder.with_src(here.join("src").join(file).with_extension("rs"));
    }
    let mut bytes = Vec::new();
    builder.generate().unwrap().write(&mut bytes);
    let (want, path) = (String::from_utf8(bytes).unwrap(), here.join("include/vmt.h"));
    if std::env::var_os("VMT_BLESS").is_some() {
        fs::write(&path, &want).unwrap();
    }
    let got = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        got == want,
        "include/vmt.h is not that of the code: run `VMT_BLESS=1 make test`, and look at what changes"
    );
}
