//! A directory of the file system, as a disk.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::core::durable::{Disk, DiskError};

/// A directory of the file system.
#[derive(Clone, Debug)]
pub struct Files {
    root: PathBuf,
}

impl Files {
    pub(super) fn new(root: &Path) -> Files {
        Files {
            root: root.to_owned(),
        }
    }

    fn at(&self, path: &str) -> PathBuf {
        match path {
            "" => self.root.clone(),
            path => self.root.join(path),
        }
    }

    /// Does something with a path, and tells of it if that fails.
    fn with<T>(
        &self,
        path: &str,
        act: impl FnOnce(&Path) -> io::Result<T>,
    ) -> Result<T, DiskError> {
        let path = self.at(path);
        act(&path).map_err(|source| DiskError {
            path: path.display().to_string(),
            source,
        })
    }
}

/// A file that is open for writing.
#[derive(Debug)]
pub struct OpenFile {
    file: File,
    path: String,
}

impl Disk for Files {
    type File = OpenFile;

    fn read(&self, path: &str) -> Result<Vec<u8>, DiskError> {
        self.with(path, |path| fs::read(path))
    }

    fn list(&self, path: &str) -> Result<Vec<String>, DiskError> {
        self.with(path, |path| {
            let mut names = Vec::new();
            for entry in fs::read_dir(path)? {
                names.push(entry?.file_name().to_string_lossy().into_owned());
            }
            names.sort_unstable();
            Ok(names)
        })
    }

    fn create(&self, path: &str) -> Result<OpenFile, DiskError> {
        let file = self.with(path, |path| File::create(path))?;
        let path = path.to_owned();
        Ok(OpenFile { file, path })
    }

    fn open(&self, path: &str) -> Result<OpenFile, DiskError> {
        let file = self.with(path, |path| File::options().write(true).open(path))?;
        let path = path.to_owned();
        Ok(OpenFile { file, path })
    }

    fn write(&self, file: &mut OpenFile, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.with(&file.path, |_| file.file.write_all_at(bytes, offset))
    }

    fn resize(&self, file: &mut OpenFile, length: u64) -> Result<(), DiskError> {
        self.with(&file.path, |_| file.file.set_len(length))
    }

    fn sync(&self, file: &mut OpenFile) -> Result<(), DiskError> {
        self.with(&file.path, |_| file.file.sync_data())
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        self.with(from, |from| fs::rename(from, self.at(to)))
    }

    fn remove(&self, path: &str) -> Result<(), DiskError> {
        self.with(path, |path| fs::remove_file(path))
    }

    fn make_directory(&self, path: &str) -> Result<(), DiskError> {
        self.with(path, |path| fs::create_dir(path))
    }

    fn remove_directory(&self, path: &str) -> Result<(), DiskError> {
        self.with(path, |path| fs::remove_dir_all(path))
    }

    fn sync_directory(&self, path: &str) -> Result<(), DiskError> {
        self.with(path, |path| File::open(path)?.sync_all())
    }
}
