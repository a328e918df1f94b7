//! NVIDIA's driver and GPUs, for `vmt doctor`.

use std::{
    fs,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Where the kernel's module tells of itself.
const PROC: &str = "/proc/driver/nvidia";

/// How long `nvidia-smi` may take: with a broken driver it hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// The version of the driver whose module is loaded.
pub fn driver() -> Option<String> {
    version(&fs::read_to_string(format!("{PROC}/version")).ok()?)
}

/// Name and memory of each GPU; the name alone where `nvidia-smi` is of no help.
pub fn gpus() -> Vec<String> {
    nvidia_smi().unwrap_or_else(|| {
        let folders = fs::read_dir(format!("{PROC}/gpus")).into_iter().flatten().flatten();
        folders.filter_map(|gpu| model(&fs::read_to_string(gpu.path().join("information")).ok()?)).collect()
    })
}

fn nvidia_smi() -> Option<Vec<String>> {
    let mut child = Command::new("nvidia-smi")
        .args(["--query-gpu=name,memory.total", "--format=csv,noheader"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let began = Instant::now();
    // What it prints is less than a pipe holds.
    while child.try_wait().ok()?.is_none() {
        if began.elapsed() > PATIENCE {
            child.kill().ok()?;
            return None;
        }
        thread::sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.lines().map(str::to_owned).collect())
}

/// The version in the text of the module's file `version`.
fn version(text: &str) -> Option<String> {
    let is_version = |word: &&str| word.contains('.') && word.chars().all(|char| char.is_ascii_digit() || char == '.');
    text.lines().next()?.split_whitespace().find(is_version).map(str::to_owned)
}

/// The name in the text of a GPU's file `information`.
fn model(text: &str) -> Option<String> {
    text.lines().find_map(|line| line.strip_prefix("Model:")).map(|name| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_modules_files_are_read() {
        for (text, want) in [
            (
                "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\n",
                Some("535.104.05"),
            ),
            (
                "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (dvs)\nGCC version:  gcc 12.3.0\n",
                Some("580.65.06"),
            ),
            ("NVRM version: none\nGCC version:  gcc 12.3.0\n", None),
            ("", None),
        ] {
            assert_eq!(super::version(text).as_deref(), want, "{text}");
        }
        let text = "Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   \t\t 123\n";
        assert_eq!(super::model(text).as_deref(), Some("NVIDIA H100 80GB HBM3"));
        assert_eq!(super::model("IRQ: 123\n"), None);
    }
}
