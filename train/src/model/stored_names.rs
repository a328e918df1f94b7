//! Names of parameters in checkpoints and graphs where they differ from the fields that hold them: names in files are part of
//! the format and change only with its number.

/// A field, and what files call it.
const RENAMED: [(&str, &str); 3] = [("time_embedding", "clock"), ("held_notes", "keys"), ("auxiliary", "reading")];

/// What files call the parameter at a path of fields, such as `Vmt.time_embedding.project.weight`.
pub fn to_stored(path: &str) -> String {
    rename(path, |field| RENAMED.iter().find(|names| names.0 == field).map(|names| names.1))
}

/// The path of fields of a parameter that files call `name`.
pub fn from_stored(name: &str) -> String {
    rename(name, |stored| RENAMED.iter().find(|names| names.1 == stored).map(|names| names.0))
}

fn rename(path: &str, new: impl Fn(&str) -> Option<&'static str>) -> String {
    path.split('.').map(|part| new(part).unwrap_or(part)).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_files_stay() {
        for (path, stored) in [
            ("Vmt.time_embedding.project.weight", "Vmt.clock.project.weight"),
            ("Vmt.held_notes.weight", "Vmt.keys.weight"),
            ("Seq2Seq.auxiliary.bias", "Seq2Seq.reading.bias"),
            ("Vmt.decoder.0.cross_attention.key_value.weight", "Vmt.decoder.0.cross_attention.key_value.weight"),
        ] {
            assert_eq!(to_stored(path), stored);
            assert_eq!(from_stored(stored), path);
        }
    }
}
