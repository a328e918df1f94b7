//! Folders of jobs on disk, within a budget.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, ensure};
use vmt_files::Drafts;

use crate::stop::lock;

/// Where the folders of all jobs are.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    /// Removes a scratch folder in the end.
    scratch: Mutex<Option<Drafts>>,
    /// Held as long as this server may write here.
    _lock: Option<File>,
    used: Arc<AtomicU64>,
}

impl Store {
    /// Takes `folder`, or a scratch folder.
    pub fn open(folder: Option<&Path>) -> Result<Self> {
        let used = Arc::default();
        let Some(folder) = folder else {
            let mut scratch = Drafts::default();
            let temporary = std::env::temp_dir();
            let root =
                scratch.scratch(&temporary.join("jobs"), "jobs").with_context(|| temporary.display().to_string())?;
            fs::create_dir(&root).with_context(|| root.display().to_string())?;
            return Ok(Self { root, scratch: Some(scratch).into(), _lock: None, used });
        };
        let at = || folder.display().to_string();
        fs::create_dir_all(folder).with_context(at)?;
        let lock = File::create(folder.join("lock")).with_context(at)?;
        ensure!(lock.try_lock().is_ok(), "{}: is used by another server", at());
        let root = folder.canonicalize().with_context(at)?;
        Ok(Self { root, scratch: None.into(), _lock: Some(lock), used })
    }

    /// The folders that are there, by their names.
    pub fn found(&self) -> Vec<(String, Folder)> {
        let entries = fs::read_dir(&self.root).into_iter().flatten().flatten();
        let named = entries.filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())));
        named
            .filter(|(name, path)| name.len() == 32 && name.bytes().all(|it| it.is_ascii_hexdigit()) && path.is_dir())
            .map(|(name, path)| (name, Folder::new(path, self.used.clone())))
            .collect()
    }

    /// Makes a folder.
    pub fn create(&self, name: &str) -> io::Result<Folder> {
        let path = self.root.join(name);
        fs::create_dir(&path)?;
        Ok(Folder::new(path, self.used.clone()))
    }

    /// Removes a scratch folder now, whoever still has the store.
    pub fn remove_scratch(&self) {
        lock(&self.scratch).take();
    }

    /// Bytes of all folders but those that are released.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }
}

/// A job's folder, which is removed when this is dropped, unless it is to be kept.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// What it adds to `used`; none once it is released.
    bytes: Mutex<Option<u64>>,
    used: Arc<AtomicU64>,
    keep: AtomicBool,
}

impl Folder {
    fn new(path: PathBuf, used: Arc<AtomicU64>) -> Self {
        let folder = Self { path, bytes: Some(0).into(), used, keep: AtomicBool::new(false) };
        folder.measure();
        folder
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps it when this is dropped.
    pub fn keep(&self) {
        self.keep.store(true, Ordering::Relaxed);
    }

    /// Frees its share of the budget at once, and its place on the disk when this is dropped: a worker or a download may
    /// use it until then.
    pub fn release(&self) {
        self.keep.store(false, Ordering::Relaxed);
        if let Some(bytes) = lock(&self.bytes).take() {
            self.used.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    /// Counts bytes that are about to be written.
    pub fn reserve(&self, bytes: u64) {
        if let Some(counted) = &mut *lock(&self.bytes) {
            *counted += bytes;
            self.used.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// Counts what is there.
    pub fn measure(&self) {
        let files = fs::read_dir(&self.path).into_iter().flatten().flatten();
        let bytes = files.filter_map(|file| Some(file.metadata().ok()?.len())).sum();
        if let Some(counted) = &mut *lock(&self.bytes) {
            self.used.fetch_add(bytes, Ordering::Relaxed);
            self.used.fetch_sub(*counted, Ordering::Relaxed);
            *counted = bytes;
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.keep.load(Ordering::Relaxed) {
            return;
        }
        if let Err(error) = fs::remove_dir_all(&self.path)
            && self.path.exists()
        {
            tracing::warn!("a job's folder cannot be removed: {error}");
        }
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_go_with_their_jobs() {
        let place = tempfile::tempdir().unwrap();
        let store = Store::open(Some(place.path())).unwrap();
        let busy = Store::open(Some(place.path())).unwrap_err().to_string();
        assert!(busy.ends_with("is used by another server"), "{busy}");
        let name = "0123456789abcdef0123456789abcdef";
        let folder = store.create(name).unwrap();
        folder.reserve(10);
        fs::write(folder.path().join("film"), [0; 7]).unwrap();
        folder.measure();
        assert_eq!(store.used(), 7);
        folder.keep();
        drop(folder);
        fs::create_dir(place.path().join("other")).unwrap();
        let found = store.found();
        assert_eq!(found.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), [name]);
        let (_, folder) = &found[0];
        let before = store.used();
        folder.release();
        assert_eq!(store.used(), before - 7, "while it is in use");
        folder.measure();
        assert_eq!(store.used(), before - 7);
        assert!(folder.path().exists());
        drop(found);
        assert_eq!(store.used(), before - 7);
        assert!(store.found().is_empty() && place.path().join("other").exists());

        let scratch = Store::open(None).unwrap();
        let root = scratch.root.clone();
        scratch.create(name).unwrap().keep();
        assert!(root.join(name).exists());
        scratch.remove_scratch();
        assert!(!root.exists());
    }
}
