//! No import runs back up the line: neither between the folders of the library, nor between the files of one.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Each may import those before it.
const LINE: [&str; 8] = ["error", "music", "video", "click", "pictures", "model", "decode", "compose"];

/// The code of each file of a folder, without comments and tests.
fn files(folder: &str) -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(folder);
    let read = |path: &Path| {
        let source = fs::read_to_string(path).unwrap();
        let code = source.split("#[cfg(test)]\nmod tests").next().unwrap();
        code.lines().filter(|line| !line.trim_start().starts_with("//")).map(|line| format!("{line}\n")).collect()
    };
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), read(&path))).collect()
}

/// The names that follow `prefix`.
fn after<'c>(code: &'c str, prefix: &str) -> impl Iterator<Item = &'c str> {
    code.split(prefix).skip(1).map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap())
}

#[test]
fn folders_import_those_before_them() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for entry in fs::read_dir(source).unwrap() {
        let name = entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(name == "lib" || LINE.contains(&name.as_str()), "where in the line is {name}?");
    }
    for (place, folder) in LINE.iter().enumerate().skip(1) {
        for (file, code) in files(folder) {
            for name in after(&code, "crate::") {
                assert!(LINE[..place].contains(&name), "{folder}/{file}.rs imports crate::{name}");
            }
        }
    }
}

#[test]
fn files_of_a_folder_import_each_other_in_one_direction() {
    for folder in &LINE[1..] {
        let mut files = files(folder);
        files.remove("mod");
        assert!(!files.is_empty(), "{folder}");
        // Those that import none of the rest go, again and again.
        while !files.is_empty() {
            let names: Vec<_> = files.keys().cloned().collect();
            files.retain(|_, code| after(code, "super::").any(|name| names.iter().any(|file| file == name)));
            assert!(files.len() < names.len(), "{folder} has a loop among {names:?}");
        }
    }
}
